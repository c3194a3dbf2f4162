"""Two pictures: how long a search takes the larger the corpus is, and what quality costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eval.bench.measured import Measured
from eval.bench.recall import Recall
from eval.bench.stages import Stage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = {
    Stage.EMBED: "embed",
    Stage.BM25_EVERYWHERE: "BM25, all tenants",
    Stage.DENSE: "dense, in scope",
    Stage.ENGINE: "engine: dense + BM25, fused",
    Stage.FOUND: "question to fused passages",
    Stage.TOTAL: "with reranking",
    "rank-bm25": "rank-bm25",
    "bm25s": "bm25s",
}


def plot(measured: Measured, path: Path) -> None:
    """Draw them side by side; the file appears whole or not at all."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5), layout="constrained")
    times, quality = figure.subplots(1, 2)
    _draw_times(measured, times)
    for sized in measured.sizes:
        _draw_quality(sized.recalls, f"{sized.passages:,} passages, 20 tenants", quality)
    alone = measured.one_tenant
    _draw_quality(alone.recalls, f"{alone.passages:,} real passages, one tenant", quality)
    quality.set_xscale("log")
    quality.set_xlabel("dense leg, median ms")
    quality.set_ylabel("recall@50 against exact search")
    quality.set_title("Quality against latency, by search width (ef)")
    for axes in (times, quality):
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.tmp")
    figure.savefig(scratch, format=path.suffix.lower()[1:])
    scratch.replace(path)


def _draw_times(measured: Measured, axes: Axes) -> None:
    for name, label in LINES.items():
        points = [
            (sized.passages, sized.times[name].p50, sized.times[name].p95)
            for sized in measured.sizes
            if name in sized.times
        ]
        if points:
            sizes, medians, slow = zip(*points, strict=True)
            (line,) = axes.plot(sizes, medians, "o-", label=label)
            axes.plot(sizes, slow, ":", color=line.get_color(), alpha=0.6)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("passages")
    axes.set_ylabel("ms")
    axes.set_title("Latency against corpus size; dotted: 95th percentile")


def _draw_quality(recalls: Sequence[Recall], label: str, axes: Axes) -> None:
    ordered = sorted(recalls, key=lambda each: each.width)
    axes.plot(
        [each.p50_ms for each in ordered], [each.recall for each in ordered], "o-", label=label
    )
    for each in ordered:
        axes.annotate(str(each.width), (each.p50_ms, each.recall), fontsize="x-small")
