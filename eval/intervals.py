"""Confidence intervals for the figures that we publish."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959963984540054
RESAMPLES = 2000
DRAWN_TOGETHER = 1_000_000  # observations, which bounds the memory
SEED = 20261123

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure from n observations with its 95 % interval: a share, a mean or a difference."""

    value: float
    low: float
    high: float
    n: int


def proportion(hits: int, n: int) -> Estimate:
    """Share of hits with the Wilson score interval (Wilson 1927).

    >>> e = proportion(8, 10)
    >>> round(e.value, 2), round(e.low, 3), round(e.high, 3)
    (0.8, 0.49, 0.943)
    """
    if not 0 <= hits <= n or n == 0:
        raise ValueError(f"need 0 <= hits <= n and n > 0, got hits={hits!r}, n={n!r}")
    share = hits / n
    scale = 1 + Z_95**2 / n
    centre = (share + Z_95**2 / (2 * n)) / scale
    half = Z_95 / scale * math.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n**2))
    return Estimate(share, max(0.0, centre - half), min(1.0, centre + half), n)


def bootstrap(items: Sequence[Item], statistic: Callable[[Sequence[Item]], float]) -> Estimate:
    """A statistic of the items with its percentile bootstrap interval (Efron 1979)."""
    rng = np.random.default_rng(SEED)
    draws = [
        statistic([items[i] for i in rng.integers(len(items), size=len(items))])
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(statistic(items), float(low), float(high), len(items))


def bootstrap_mean(groups: Sequence[NDArray[np.float64]]) -> Estimate:
    """The mean of the groups' means, with its percentile bootstrap interval.

    Each group is an (observations,) array, drawn from anew by itself, so that a large group
    counts no more than a small one.
    """
    rng = np.random.default_rng(SEED)
    draws = np.zeros(RESAMPLES)
    for group in groups:
        block = max(1, DRAWN_TOGETHER // len(group))
        for start in range(0, RESAMPLES, block):
            resamples = min(block, RESAMPLES - start)
            drawn = group[rng.integers(len(group), size=(resamples, len(group)))]
            draws[start : start + resamples] += drawn.mean(axis=1) / len(groups)
    low, high = np.quantile(draws, [0.025, 0.975])
    value = float(np.mean([group.mean() for group in groups]))
    return Estimate(value, float(low), float(high), sum(map(len, groups)))
