"""What the graph misses: the dense leg against a comparison with every passage of the scope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from eval.bench.layout import Layout
from eval.bench.timing import Stopwatch
from retrieval.edge_query import GRAPH_SEARCH_WIDTH, DenseLeg
from retrieval.edge_store import EdgeStore
from retrieval.embedding import Vectors

DEPTH = 50
WIDTHS = (32, 64, 128, 256, GRAPH_SEARCH_WIDTH, 1024)
_TIE = 1e-6  # cosines that differ by less are the same


@dataclass(frozen=True, slots=True)
class Recall:
    """Mean share of the nearest 50 that were found, over n questions, at a width of search (ef).

    `p50_ms` is the dense leg's median time.
    """

    width: int
    recall: float
    n: int
    p50_ms: float

    def record(self) -> dict[str, Any]:
        """For a result file."""
        return asdict(self)


def recalls(
    store: EdgeStore,
    vectors: Vectors,
    *,
    layout: Layout,
    widths: Sequence[int] = WIDTHS,
) -> list[Recall]:
    """For each width; `vectors` are the questions', (questions, d). What ties counts as found."""
    nearest = [
        _cosines(store, DenseLeg.of(vector, layout.scope(number), exact=True))[:DEPTH]
        for number, vector in enumerate(vectors)
    ]
    found = []
    for width in widths:
        watch = Stopwatch()
        shares = []
        for number, vector in enumerate(vectors):
            leg = DenseLeg.of(vector, layout.scope(number), width=width)
            best = watch.time("dense", lambda leg=leg: _cosines(store, leg))[:DEPTH]  # type: ignore[misc]
            if nearest[number]:
                least = nearest[number][-1] - _TIE
                shares.append(sum(each >= least for each in best) / len(nearest[number]))
        share = float(np.mean(shares)) if shares else 1.0
        found.append(Recall(width, share, len(shares), watch.percentiles()["dense"].p50))
    return found


def _cosines(store: EdgeStore, leg: DenseLeg) -> list[float]:
    return [point.score for point in store.shard.query(leg.request())]
