"""The analysis of a use case, for people: a panel, then what stands behind it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from router import report
from router.analysis import Analysis
from router.data_preparation import Scheduled
from router.latency_budget import ASSUMED
from router.use_case import RAG_FINE_BELOW_MS
from serving.cli.options import console

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

PANEL_WIDTH = 88
NARROWEST = 12
FRAME = 4  # columns of a panel's border and padding
WEEK_WIDTHS = (3, 2, 1)  # the widest that fits
GAP = 2  # columns between two of a table
STYLES = {
    "RECOMMENDATION:": "bold green",
    "WARNING:": "bold yellow",
    "CONFLICT:": "bold red",
    "Reasoning:": "bold",
    "Estimated Monthly Cost:": "bold",
}


def print_analysis(analysis: Analysis) -> None:
    """The panel, costs side by side and over two years, latencies, turns, data preparation."""
    out = console()
    _print_panel(out, analysis)
    _print_costs(out, analysis)
    limit = analysis.case.latency
    if limit.under(RAG_FINE_BELOW_MS) or analysis.budget is not ASSUMED:
        _print_budget(out, analysis)
    out.print("[bold]What would change this[/bold], each answer alone")
    _print_lines(out, report.turn_lines(analysis))
    if analysis.training_is_at_hand:
        _print_preparation(out, analysis)
    _print_lines(
        out,
        [
            "Prices, speeds and hours are assumptions: `twofold decide prices` prints them, "
            "--prices FILE changes them."
        ],
        last=True,
    )


def _print_panel(out: Console, analysis: Analysis) -> None:
    """In a terminal a Rich panel; piped, its lines under its title."""
    from rich.panel import Panel
    from rich.text import Text

    if not out.is_terminal:
        out.print(report.TITLE, "", *map(_styled, report.panel_lines(analysis)), "", sep="\n")
        return
    width = min(out.width, PANEL_WIDTH)
    lines = [
        line for each in report.panel_lines(analysis) for line in _wrapped(each, width - FRAME)
    ]
    body = Text("\n").join(map(_styled, lines))
    out.print(Panel(body, title=report.TITLE, width=width), "")


def _print_costs(out: Console, analysis: Analysis) -> None:
    out.print(f"[bold]{report.comparison_title(analysis)}[/bold]", soft_wrap=False)
    _print_table(out, report.comparison(analysis))
    _print_lines(out, [report.comparison_note(analysis)])
    out.print(f"[bold]{report.ownership_title(analysis)}[/bold]")
    _print_table(out, report.ownership(analysis), total=True)
    _print_lines(out, report.ownership_notes(analysis))


def _print_budget(out: Console, analysis: Analysis) -> None:
    out.print(f"[bold]Where a retrieved answer's time goes[/bold] ({analysis.case.latency.phrase})")
    _print_table(out, report.budget_table(analysis), total=True)
    out.print()


def _print_preparation(out: Console, analysis: Analysis) -> None:
    weeks = analysis.preparation_weeks
    out.print(
        f"[bold]Preparing the examples: {weeks.low:g} to {weeks.high:g} weeks[/bold], "
        "one task after the other"
    )
    charts = (_gantt(analysis, width) for width in WEEK_WIDTHS)
    chart = next((rows for rows in charts if _width(rows) <= out.width), None)
    if chart is None:
        tasks = (
            f"{each.task.name}: {report.weeks(each.task.weeks)}" for each in analysis.preparation
        )
        _print_lines(out, (f"- {task}" for task in tasks))
        return
    _print_table(out, chart, left=2)
    _print_lines(
        out, ["█ at least, ░ at most; each bar starts when the one before is done at the latest."]
    )


def _gantt(analysis: Analysis, week_width: int) -> list[list[str]]:
    """Rows with a bar of so many columns a week."""
    scale = _scale(int(analysis.preparation_weeks.high), week_width)
    return [
        ["", scale, "weeks"],
        *(
            [each.task.name, _bar(each, week_width), report.weeks(each.task.weeks)]
            for each in analysis.preparation
        ),
    ]


def _scale(weeks: int, week_width: int) -> str:
    """The numbers of the weeks; where they would touch, each fourth."""
    step = 1 if week_width > len(str(weeks)) else 4
    numbers = range(1, weeks + 1, step)
    return "".join(f"{week:<{week_width * step}}" for week in numbers).rstrip()


def _bar(scheduled: Scheduled, week_width: int) -> str:
    least = int(scheduled.task.weeks.low)
    more = int(scheduled.task.weeks.high) - least
    before = int(scheduled.start.high)
    return " " * before * week_width + "█" * least * week_width + "░" * more * week_width


def _print_lines(out: Console, lines: Iterable[str], *, last: bool = False) -> None:
    """Wrapped to the terminal with items indented; piped, as they are; then an empty line."""
    for line in lines:
        shown = _wrapped(line, out.width) if out.is_terminal else [line]
        for each in shown:
            out.print(each, markup=False)
    if not last:
        out.print()


def _wrapped(line: str, width: int) -> list[str]:
    indent = "  " if line.startswith("- ") else ""
    wrapped = textwrap.wrap(
        line, max(width, NARROWEST), subsequent_indent=indent, break_on_hyphens=False
    )
    return wrapped or [""]


def _styled(line: str) -> Text:
    from rich.text import Text

    text = Text(line)
    for start, style in STYLES.items():
        if line.startswith(start):
            text.stylize(style, 0, len(line) if start == "RECOMMENDATION:" else len(start))
    return text


def _print_table(
    out: Console, rows: Sequence[Sequence[str]], *, total: bool = False, left: int = 1
) -> None:
    """In a terminal that is too narrow for it, row by row: nothing is cut off."""
    if _width(rows) <= out.width:
        out.print(_table(rows, total=total, left=left))
        return
    (_, *heads), *others = rows
    for name, *cells in others:
        out.print(f"[bold]{name}[/bold]")
        for head, cell in zip(heads, cells, strict=True):
            if cell:
                for line in _wrapped(f"- {head}: {cell}", out.width):
                    out.print(line, markup=False)


def _width(rows: Sequence[Sequence[str]]) -> int:
    """Columns of a terminal that a table takes; all that it holds is one column a letter."""
    columns = zip(*rows, strict=True)
    return sum(max(map(len, column)) for column in columns) + GAP * (len(rows[0]) - 1)


def _table(rows: Sequence[Sequence[str]], *, total: bool = False, left: int = 1) -> Table:
    """The first row is the head; the first columns stand left, the others right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for place, head in enumerate(rows[0]):
        table.add_column(head, justify="left" if place < left else "right")
    for number, row in enumerate(rows[1:], start=2):
        table.add_row(*row, style="bold" if total and number == len(rows) else None)
    return table
