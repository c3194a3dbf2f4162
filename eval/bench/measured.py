"""What was measured at one size, and everything together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval.bench.memory import Memory
from eval.bench.models import Compared, Ingested
from eval.bench.neighbours import Neighbours
from eval.bench.recall import Recall
from eval.bench.server import ServerMemory
from eval.bench.stages import Stage
from eval.bench.timing import Percentiles
from retrieval.edge_query import GRAPH_SEARCH_WIDTH


@dataclass(frozen=True, slots=True)
class Sized:
    """A corpus of `passages`, of which the first `real` are real.

    `times` are by stage and by baseline; `skipped` says which baseline was left out and why.
    `baseline_ratios` compare medians over the same questions: how many times longer theirs took
    than BM25 over all tenants did here.
    """

    passages: int
    real: int
    scanned: int  # passages that are not in the graph
    times: Mapping[str, Percentiles]
    baseline_ratios: Mapping[str, float]
    skipped: Mapping[str, str]
    recalls: Sequence[Recall]
    neighbours: Mapping[str, Neighbours]
    memory: Memory | None

    @property
    def recall(self) -> Recall:
        """At the width that the product searches with."""
        return at_shipped_width(self.recalls)

    @property
    def engine_ratio(self) -> float:
        """Question to fused passages / (the engine's own fused search + the embedding), medians."""
        alone = self.times[Stage.ENGINE].p50 + self.times[Stage.EMBED].p50
        return self.times[Stage.FOUND].p50 / alone

    @property
    def spread(self) -> float:
        """p95 / p50 of question to fused passages."""
        return self.times[Stage.FOUND].p95 / self.times[Stage.FOUND].p50

    def record(self) -> dict[str, Any]:
        """For a result file."""
        return {
            "passages": self.passages,
            "real_passages": min(self.real, self.passages),
            "recombined_passages": max(0, self.passages - self.real),
            "scanned_passages": self.scanned,
            "stages_ms": {name: times.record() for name, times in self.times.items()},
            "question_to_fused_over_engine_and_embedding": self.engine_ratio,
            "question_to_fused_p95_over_p50": self.spread,
            "baselines_over_bm25": dict(self.baseline_ratios),
            "baselines_skipped": dict(self.skipped),
            "dense_recall@50": self.recall.record(),
            "dense_recall@50_by_width": [each.record() for each in self.recalls],
            "neighbour_distances": {name: each.record() for name, each in self.neighbours.items()},
            "memory": self.memory.record() if self.memory else None,
        }


@dataclass(frozen=True, slots=True)
class OneTenant:
    """All passages, every one real, in one tenant: where the graph has the most to do.

    `recalls` are those of questions that may see everything, `in_groups` of those that may see
    three of the five groups.
    """

    passages: int
    recalls: Sequence[Recall]
    in_groups: Sequence[Recall]

    @property
    def recall(self) -> Recall:
        """At the width that the product searches with."""
        return at_shipped_width(self.recalls)

    def record(self) -> dict[str, Any]:
        """For a result file."""
        return {
            "passages": self.passages,
            "dense_recall@50": self.recall.record(),
            "dense_recall@50_by_width": [each.record() for each in self.recalls],
            "in_groups_dense_recall@50": at_shipped_width(self.in_groups).record(),
            "in_groups_dense_recall@50_by_width": [each.record() for each in self.in_groups],
        }


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything; what was not asked for or cannot be compared is None."""

    sizes: Sequence[Sized]
    one_tenant: OneTenant
    embedding: Compared | None
    reranking: Compared | None
    reranked_tokens: float
    ingest: Ingested | None
    server: ServerMemory | None

    def record(self) -> dict[str, Any]:
        """For a result file."""
        parts = ("embedding", "reranking", "ingest", "server")
        found = {name: getattr(self, name) for name in parts}
        return {
            "sizes": [each.record() for each in self.sizes],
            "one_tenant": self.one_tenant.record(),
            **{name: part.record() if part else None for name, part in found.items()},
            "reranked_passage_tokens": self.reranked_tokens if self.reranking else None,
        }


def at_shipped_width(recalls: Sequence[Recall]) -> Recall:
    """The one that counts."""
    return next(each for each in recalls if each.width == GRAPH_SEARCH_WIDTH)
