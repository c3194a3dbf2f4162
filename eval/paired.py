"""Whether one system is better than another on the same queries, or was lucky."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.intervals import SEED, Estimate, bootstrap_mean

PERMUTATIONS = 10_000
_BLOCK = 500  # permutations computed together, which bounds the memory


@dataclass(frozen=True, slots=True)
class Paired:
    """The mean difference with its 95 % interval, and the two-sided p of there being none."""

    difference: Estimate
    p: float


def paired_test(groups: Sequence[NDArray[np.float64]]) -> Paired:
    """Paired randomisation test on differences, (queries,) for each set.

    The statistic is the mean of the sets' means. Were both systems equal, each difference could
    as well have the other sign: p = (1 + c) / (1 + n), with c of n = 10,000 random choices of
    signs at least as far from 0 as what was seen. Sources: Smucker, Allan, Carterette, CIKM 2007;
    the 1 for what was seen: Phipson and Smyth 2010. Not corrected for the number of tests.

    >>> paired_test([np.zeros(5)]).p
    1.0
    """
    shares = np.concatenate([group / (len(groups) * len(group)) for group in groups])
    seen = abs(shares.sum()) - 1e-12  # sums of the same numbers in another order count as equal
    moved = shares[shares != 0]  # the others change nothing, whatever their sign
    rng = np.random.default_rng(SEED)
    as_far = 0
    for _ in range(PERMUTATIONS // _BLOCK):
        heads = rng.integers(2, size=(_BLOCK, len(moved)), dtype=np.int8)  # (block, queries)
        as_far += int((np.abs((1.0 - 2.0 * heads) @ moved) >= seen).sum())
    return Paired(bootstrap_mean(groups), (1 + as_far) / (1 + PERMUTATIONS))
