"""The readiness report of `twofold train check`, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.cli.options import console

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from finetune.checklist import Item
    from finetune.problems import Problem
    from finetune.readiness import Report

SHOWN = 8  # rows of a problem


def print_report(report: Report) -> None:
    """The verdict, each problem with its first rows, the habits, the checklist."""
    out = console()
    verdict = report.verdict
    out.print(f"[bold]{report.count:,} examples: {verdict}[/bold] ({verdict.advice})")
    lengths = report.lengths
    out.print(
        f"tokens: median {lengths.median:,}, longest {max(lengths.examples):,} of "
        f"{lengths.max_tokens:,}, by {lengths.counted_by}\n",
        markup=False,
    )
    if report.clean:
        out.print("[green]no problems found[/green]\n")
    for problem in report.problems:
        _print_problem(out, problem)
    out.print("[bold]habits[/bold], which the model will copy", _habits(report), "", sep="\n")
    out.print("[bold]before you train[/bold]")
    for item in report.checklist:
        _print_item(out, item)


def _print_problem(out: Console, problem: Problem) -> None:
    from rich.markup import escape

    out.print(f"[bold red]{problem.kind}[/bold red]: {escape(problem.summary)}")
    out.print(f"  {problem.advice}", markup=False)
    for finding in problem.findings[:SHOWN]:
        out.print(f"  row {finding.line}: {finding.detail}", markup=False)
    more = len(problem.findings) - SHOWN
    if more > 0:
        out.print(f"  and {more:,} more; --html FILE or --json FILE lists all")
    out.print()


def _habits(report: Report) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("habit", "most answers"):
        table.add_column(heading)
    for heading in ("share", "of answers", "depart"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for habit in report.habits:
        table.add_row(
            habit.name,
            escape(habit.majority),
            f"{habit.majority_rate:.0%}",
            f"{habit.judged:,}",
            f"{len(habit.departures):,}",
            "[red]mixed[/red]" if habit.mixed else "",
        )
    return table


def _print_item(out: Console, item: Item) -> None:
    from rich.markup import escape

    if item.reply is None:
        state, said = "[yellow]?  [/yellow]", f"{item.answered_by}: {item.good}"
    else:
        state = "[green]yes[/green]" if item.reply.yes else "[red]no [/red]"
        said = f"{item.answered_by}: {item.reply.because}"
    out.print(f"  {state} {escape(item.question)}\n      {escape(said)}")
