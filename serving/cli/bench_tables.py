"""The figures of `twofold bench retrieval`, for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from serving.cli.options import console

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from eval.bench.bars import Bar
    from eval.bench.measured import Measured, Sized
    from eval.bench.models import Compared

NOTES = """\
p50, p95, p99: half, 95 % and 99 % of the questions took no longer. A question comes from one of
{tenants} tenants and may see {asked} of {groups} groups; words are rare or not in its tenant.
Stages are timed one by one, in turns, so they do not add up to the total."""


def print_measured(measured: Measured, bars: Sequence[Bar], run: Mapping[str, Any]) -> None:
    """A table for each size, then what does not depend on it, then the promises."""
    out = console()
    for sized in measured.sizes:
        _print_size(out, sized)
    notes = NOTES.format(**run, asked=run["groups_of_a_question"])
    out.print(notes, "", sep="\n", soft_wrap=True)
    _print_recall(out, measured)
    _print_neighbours(out, measured)
    _print_models(out, measured)
    _print_memory(out, measured)
    _print_bars(out, bars)
    load = ", ".join(f"{each:.1f}" for each in run["load_average"])
    out.print(
        f"{run['cores']} cores, load {load} (1, 5, 15 min); embedder {run['embedder']}; "
        f"reranker {run['reranker'] or 'none'}; ef {run['hnsw_ef']}; seed {run['seed']}",
        soft_wrap=True,
    )


def _print_size(out: Console, sized: Sized) -> None:
    from eval.bench.stages import MEANING

    made = sized.passages - min(sized.real, sized.passages)
    kind = "all real" if not made else f"{sized.passages - made:,} real, {made:,} recombined"
    out.print(f"{sized.passages:,} passages ({kind}), milliseconds")
    labels = {stage.value: text for stage, text in MEANING.items()}
    rows = []
    for name, text in [*labels.items(), ("rank-bm25", "rank-bm25"), ("bm25s", "bm25s")]:
        if name in sized.times:
            times = sized.times[name]
            ratio = sized.baseline_ratios.get(name)
            rows.append(
                [
                    text,
                    f"{times.p50:.2f}",
                    f"{times.p95:.2f}",
                    f"{times.p99:.2f}",
                    f"{times.n}",
                    f"{ratio:,.1f} times as long as BM25 over all tenants" if ratio else "",
                ]
            )
    rows += [[f"{name}: {why}", "", "", "", "", ""] for name, why in sized.skipped.items()]
    out.print(_table(["", "p50", "p95", "p99", "n", ""], rows))
    out.print(
        f"question to fused / (engine + embedding): {sized.engine_ratio:.2f}; "
        f"p95 / p50: {sized.spread:.2f}; dense recall@50 {sized.recall.recall:.3f}",
        "",
        sep="\n",
        soft_wrap=True,
    )


def _print_recall(out: Console, measured: Measured) -> None:
    """A row for each width of the search."""
    from eval.bench.measured import at_shipped_width

    alone = measured.one_tenant
    columns = [(f"{sized.passages:,} in scope", sized.recalls) for sized in measured.sizes]
    columns.append((f"{alone.passages:,} real, one tenant", alone.recalls))
    columns.append(("the same, 3 of 5 groups", alone.in_groups))
    shipped = at_shipped_width(alone.recalls).width
    rows = [
        [
            f"{widths[0].width}{' (shipped)' if widths[0].width == shipped else ''}",
            *(f"{each.recall:.3f} ({each.p50_ms:.2f} ms)" for each in widths),
        ]
        for widths in zip(*(recalls for _, recalls in columns), strict=True)
    ]
    n = alone.recall.n
    out.print(f"Dense recall@50 against exact search in the same scope, n {n}; median time")
    out.print(_table(["ef", *(name for name, _ in columns)], rows), "", sep="\n")


def _print_neighbours(out: Console, measured: Measured) -> None:
    rows = [
        [
            f"{sized.passages:,} {kind}",
            *(f"{value:.3f}" for value in (*found.nearest, *found.fiftieth)),
            str(found.n),
        ]
        for sized in measured.sizes
        for kind, found in sized.neighbours.items()
    ]
    out.print("Distance (1 - cosine) of a passage to its nearest and its 50th neighbour")
    heads = ["", "nearest: p10", "p50", "p90", "50th: p10", "p50", "p90", "n"]
    out.print(_table(heads, rows))
    if any(sized.passages > sized.real for sized in measured.sizes):
        out.print(
            "Recombined passages: sentences of real ones, half of them exchanged; their vectors\n"
            "are real ones plus noise, as long as real nearest neighbours are apart."
        )
    out.print()


def _print_models(out: Console, measured: Measured) -> None:
    rows = []
    if measured.embedding:
        rows.append(["one question, SentenceTransformer.encode", *_compared(measured.embedding)])
    if measured.reranking:
        tokens = measured.reranked_tokens
        name = f"20 passages of {tokens:.0f} tokens, CrossEncoder.predict"
        rows.append([name, *_compared(measured.reranking)])
    if measured.ingest:
        found = measured.ingest
        rows.append(
            [
                f"ingest of {found.passages:,} passages, encode alone",
                f"{found.ours_s * 1000:,.0f}",
                f"{found.theirs_s * 1000:,.0f}",
                f"{found.ratio:.2f}",
                "",
                "1",
            ]
        )
    if rows:
        out.print("The same weights, milliseconds (medians)")
        heads = ["", "ours", "theirs", "theirs / ours", "agreement", "n"]
        out.print(_table(heads, rows))
        out.print(
            "Agreement: mean cosine of the vectors; mean rank correlation of the scores of whole "
            "passages.\n"
        )


def _compared(found: Compared) -> list[str]:
    return [
        f"{found.ours.p50:.2f}",
        f"{found.theirs.p50:.2f}",
        f"{found.ratio:.2f}",
        f"{found.agreement:.4f}",
        str(found.ours.n),
    ]


def _print_memory(out: Console, measured: Measured) -> None:
    rows = []
    found = [
        (f"this process, {sized.passages:,} passages", sized.memory)
        for sized in measured.sizes
        if sized.memory
    ]
    if server := measured.server:
        name = f"server, {server.passages:,} passages"
        found.append((f"{name}, at start", server.at_start))
        found.append((f"{name}, after {server.questions:,} questions", server.after))
    for name, memory in found:
        parts = (memory.rss_mib, memory.own_mib, memory.file_mib, memory.peak_mib)
        rows.append([name, *(f"{part:,.0f}" for part in parts)])
    if rows:
        out.print("Memory in MiB; the baselines and the filling have processes of their own")
        heads = ["", "RSS", "its own", "mapped files", "peak"]
        out.print(_table(heads, rows), "", sep="\n")


def _print_bars(out: Console, bars: Sequence[Bar]) -> None:
    rows = [
        [
            bar.name,
            f"{bar.value:.3f}",
            f"{'≤' if bar.at_most else '≥'} {bar.bound:g}",
            "reached" if bar.reached else "missed",
        ]
        for bar in bars
    ]
    out.print("What we promise, in this run", _table(["", "", "bar", ""], rows), "", sep="\n")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if place else "left")
    for row in rows:
        table.add_row(*row)
    return table
