"""The readiness report as one page that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path
from string import Template

from finetune.checklist import Item
from finetune.form import Habit
from finetune.problems import Finding, Problem
from finetune.readiness import Report
from finetune.readiness_plots import facts_plot, habits_plot, lengths_plot

TEMPLATE_FILE = Path(__file__).with_name("readiness_page.html")


def write_page(report: Report, path: Path, *, title: str) -> None:
    """The page as a file; it appears whole or not at all."""
    text = page(report, title=title)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.tmp")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)


def page(report: Report, *, title: str) -> str:
    """HTML with the plots inside; all that comes from the examples is escaped."""
    lengths = report.lengths
    return Template(TEMPLATE_FILE.read_text(encoding="utf-8")).substitute(
        title=escape(title),
        tone="good" if report.clean and report.verdict.enough else "bad",
        count=f"{report.count:,}",
        verdict=escape(report.verdict),
        advice=escape(report.verdict.advice.capitalize()),
        problems="\n".join(map(_problem, report.problems)) or '<p class="good">None found.</p>',
        lengths_plot=lengths_plot(lengths),
        lengths_note=escape(
            f"Median {lengths.median:,}, longest {max(lengths.examples):,} of "
            f"{lengths.max_tokens:,} tokens. Counted by {lengths.counted_by}."
        ),
        habits_plot=habits_plot(report.habits),
        habits=_habits(report.habits),
        facts=f"<h2>Facts that change</h2>\n{facts_plot(report.facts)}" if report.facts else "",
        checklist="\n".join(map(_item, report.checklist)),
    )


def _problem(problem: Problem) -> str:
    return (
        f"<details><summary><strong>{escape(problem.kind.capitalize())}</strong>: "
        f"{escape(problem.summary)}</summary>\n<p>{escape(problem.advice)}</p>\n"
        f"{_findings(problem.findings)}</details>"
    )


def _findings(findings: Iterable[Finding]) -> str:
    rows = "".join(
        f"<tr><td>{finding.line}</td><td>{escape(finding.detail)}</td></tr>\n"
        for finding in findings
    )
    return f"<table><tr><th>row</th><th>what</th></tr>\n{rows}</table>"


def _habits(habits: Iterable[Habit]) -> str:
    rows = "".join(
        f"<tr><td>{escape(habit.name)}</td><td>{escape(habit.majority)}</td>"
        f"<td>{habit.majority_rate:.0%} of {habit.judged:,}</td></tr>\n"
        for habit in habits
    )
    return f"<table><tr><th>habit</th><th>most answers</th><th>share</th></tr>\n{rows}</table>"


def _item(item: Item) -> str:
    if item.reply is None:
        said = f'<span class="bad">{item.answered_by.capitalize()}.</span> {escape(item.good)}'
    else:
        word, tone = ("Yes", "good") if item.reply.yes else ("No", "bad")
        said = (
            f'<span class="{tone}">{word}</span>, says {item.answered_by}: '
            f"{escape(item.reply.because)}"
        )
    return f"<dt>{escape(item.question)}</dt><dd>{said}</dd>"
