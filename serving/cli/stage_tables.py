"""The figures of `twofold evaluate retrieval`, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from serving.cli.options import console

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table

    from eval.corpus_index import Pipeline
    from eval.intervals import Estimate
    from eval.stage_report import Change, Summary

HEADLINE = "nDCG@10"


def progress_bars() -> Progress:
    """Bars with counts and the time left, gone at the end; none where nobody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeLeft())
    watched = Console(stderr=True)
    return Progress(*columns, console=watched, transient=True, disable=not watched.is_terminal)


def print_summaries(summaries: Sequence[Summary], pipeline: Pipeline) -> None:
    """A table each, an overview where there are several, and what they were measured with."""
    out = console()
    for summary in summaries:
        out.print(_title(summary), _table(summary), "", sep="\n")
    if len(summaries) > 1:
        out.print(HEADLINE, _overview(summaries), "", sep="\n")
    out.print(f"embedder {pipeline.embedder.name}", soft_wrap=True)
    reranking = pipeline.reranking
    out.print(f"reranker {reranking.reranker.name if reranking else 'none'}", soft_wrap=True)
    if reranking:
        out.print(
            f"It reads {reranking.candidates} passages; a score is the fused one + "
            f"{reranking.weight} * log odds."
        )
    out.print(
        "A document's rank is that of its best passage. Intervals: bootstrap over queries. A gain\n"
        "is over the stage above; p: paired randomisation test, two-sided, not corrected for the\n"
        "number of tests."
    )


def _table(summary: Summary) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("", ""):
        table.add_column(heading)
    for heading in ("value", "95 % interval", "gain", "95 % interval", "p"):
        table.add_column(heading, justify="right")
    for measure in next(iter(summary.estimates.values())):
        for place, (stage, row) in enumerate(summary.estimates.items()):
            table.add_row(
                "" if place else measure,
                stage,
                *_cells(row[measure], summary.change(stage, measure)),
            )
    return table


def _title(summary: Summary) -> str:
    counts = [f"{summary.n:,} queries"]
    if len(summary.sets) == 1:
        (measured,) = summary.sets
        if summary.n < measured.dataset.judged:
            counts = [f"{summary.n:,} of {measured.dataset.judged:,} queries"]
        counts += [
            f"{len(measured.dataset.documents):,} documents",
            f"{measured.passages:,} passages",
        ]
    return f"{summary.label}: {', '.join(counts)}"


def _cells(estimate: Estimate, change: Change | None) -> list[str]:
    cells = [f"{estimate.value:.3f}", f"{estimate.low:.3f} to {estimate.high:.3f}"]
    if change is not None:
        gain = change.test.difference
        cells += [
            f"{gain.value:+.3f}",
            f"{gain.low:+.3f} to {gain.high:+.3f}",
            f"{change.test.p:.4f}",
        ]
    return cells


def _overview(summaries: Sequence[Summary]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for stage in summaries[0].estimates:
        table.add_column(stage, justify="right")
    for summary in summaries:
        values = [f"{row[HEADLINE].value:.3f}" for row in summary.estimates.values()]
        table.add_row(summary.label, *values)
    return table
