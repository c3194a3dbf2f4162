"""How near a corpus's passages lie to each other: real ones and recombined ones side by side."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.bench.corpus import SAMPLE, Corpus

FAR = 50  # the neighbour whose distance shows how thick the crowd is
QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Distances (1 - cosine) of a sample to the nearest passage and to the 50th.

    Each is the 10th, 50th and 90th percentile.
    """

    n: int
    nearest: tuple[float, ...]
    fiftieth: tuple[float, ...]

    def record(self) -> dict[str, Any]:
        """For a result file."""
        return asdict(self)


def neighbours(corpus: Corpus, size: int) -> dict[str, Neighbours]:
    """Of `real` passages among the real ones, and of `recombined` ones among all of the size."""
    rng = np.random.default_rng(corpus.seed)
    real = min(corpus.real, size)
    found = {"real": _of(corpus, rng.choice(real, min(SAMPLE, real), replace=False), real)}
    if size > real:
        made = size - real
        sample = real + rng.choice(made, min(SAMPLE, made), replace=False)
        found["recombined"] = _of(corpus, sample, size)
    return found


def _of(corpus: Corpus, sample: NDArray[np.int64], size: int) -> Neighbours:
    """Two passes over the corpus: one for the sample's own vectors, one for all others."""
    chosen = _vectors_at(corpus, sample, size)  # (sample, d)
    best = np.full((len(sample), 0), -1.0, dtype=np.float32)
    first = 0
    for block in corpus.blocks(size):
        cosines = chosen @ block.T  # (sample, block)
        here = (sample >= first) & (sample < first + len(block))
        cosines[np.flatnonzero(here), sample[here] - first] = -1  # not its own neighbour
        best = -np.sort(-np.concatenate([best, cosines], axis=1), axis=1)[:, :FAR]
        first += len(block)
    distances = 1 - best
    return Neighbours(
        len(sample),
        _quantiles(distances[:, 0]),
        _quantiles(distances[:, min(FAR, size - 1) - 1]),
    )


def _vectors_at(corpus: Corpus, places: NDArray[np.int64], size: int) -> NDArray[np.float32]:
    found = np.empty((len(places), corpus.vectors.shape[1]), dtype=np.float32)
    first = 0
    for block in corpus.blocks(size):
        here = (places >= first) & (places < first + len(block))
        found[here] = block[places[here] - first]
        first += len(block)
    return found


def _quantiles(values: NDArray[np.float32]) -> tuple[float, ...]:
    return tuple(float(value) for value in np.quantile(values, QUANTILES))
