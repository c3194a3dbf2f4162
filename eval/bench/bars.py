"""What is promised of the search's speed, and whether it holds in this run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from eval.bench.baselines import Baseline
from eval.bench.measured import Measured, Sized, at_shipped_width
from eval.bench.stages import Stage

LARGE, HUGE = 100_000, 1_000_000


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure and its bound: at least, or with `at_most` at most."""

    name: str
    value: float
    bound: float
    at_most: bool = False

    @property
    def reached(self) -> bool:
        """The bound itself is good enough."""
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    def record(self) -> dict[str, Any]:
        """For a result file."""
        return {
            "name": self.name,
            "value": self.value,
            "at_most" if self.at_most else "at_least": self.bound,
            "reached": self.reached,
        }


def bars(measured: Measured) -> list[Bar]:
    """Those that this run says something about."""
    found = [bar for sized in measured.sizes for bar in _of_size(sized)]
    by_size = {sized.passages: sized.times[Stage.FOUND].p50 for sized in measured.sizes}
    if LARGE in by_size and HUGE in by_size:
        growth = by_size[HUGE] / by_size[LARGE]
        found.append(Bar(f"{HUGE:,} passages: p50 over that at {LARGE:,}", growth, 3, at_most=True))
    alone = measured.one_tenant
    found.append(
        Bar(
            f"{alone.passages:,} real passages, one tenant: dense recall@50",
            alone.recall.recall,
            0.98,
        )
    )
    groups = at_shipped_width(alone.in_groups).recall
    found.append(
        Bar(f"{alone.passages:,} real passages, one tenant, 3 of 5 groups: the same", groups, 0.98)
    )
    if measured.embedding:
        found.append(Bar("embedding: times faster than encode", measured.embedding.ratio, 5))
        found.append(Bar("embedding: mean cosine to encode", measured.embedding.agreement, 0.98))
    if measured.reranking:
        found.append(Bar("reranking 20: times faster than predict", measured.reranking.ratio, 1.8))
    if measured.ingest:
        found.append(Bar("ingest: times faster than encode", measured.ingest.ratio, 1.4))
    server = measured.server
    if server and server.passages <= LARGE:
        gib = server.after.rss_mib / 1024
        name = f"server, {server.passages:,} passages, {server.questions:,} questions: RSS in GB"
        found.append(Bar(name, gib * 2**30 / 1e9, 1.2, at_most=True))
    return found


def _of_size(sized: Sized) -> Iterator[Bar]:
    size = f"{sized.passages:,} passages"
    if sized.passages == LARGE and Baseline.RANK_BM25 in sized.baseline_ratios:
        times = sized.baseline_ratios[Baseline.RANK_BM25]
        yield Bar(f"{size}: BM25, times faster than rank-bm25", times, 200)
    if sized.passages <= LARGE:
        ratio = sized.engine_ratio
        yield Bar(f"{size}: question to fused / (engine + embedding)", ratio, 1.5, at_most=True)
        yield Bar(f"{size}: question to fused, p95 / p50", sized.spread, 3, at_most=True)
    kind = "real" if sized.passages <= sized.real else "partly recombined"
    if kind == "real":
        yield Bar(f"{size}, {kind}: dense recall@50 in scope", sized.recall.recall, 0.98)
    if Stage.TOTAL in sized.times:
        total = sized.times[Stage.TOTAL].p50
        yield Bar(f"{size}: total with reranking, p50 in ms", total, 250, at_most=True)
