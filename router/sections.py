"""The parts of the report that a page shows: each with items, a table, notes or a drawing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from router import report
from router.amounts import Span, dollars, examples
from router.analysis import Analysis
from router.cost_plots import monthly_plot, ownership_plot
from router.drawing import Shape
from router.flow_chart import flow_chart

Table = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it; the first row of the table is its head."""

    title: str
    drawing: Shape | None = None
    items: tuple[str, ...] = ()
    table: Table = ()
    notes: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "title": self.title,
            "drawing": self.drawing.record() if self.drawing else None,
            "items": list(self.items),
            "table": [list(row) for row in self.table],
            "notes": list(self.notes),
        }


def sections(analysis: Analysis) -> Iterator[Section]:
    """In the order to be read."""
    monthly = dollars(analysis.bill.monthly(analysis.case.monthly_queries))
    weeks = analysis.preparation_weeks
    yield Section("The way there", flow_chart(analysis.flow))
    yield Section(
        f"{monthly} a month", monthly_plot(analysis), items=_undashed(report.cost_lines(analysis))
    )
    yield Section(
        report.comparison_title(analysis),
        table=report.comparison(analysis),
        notes=(report.comparison_note(analysis),),
    )
    yield Section(
        "What would change this",
        items=_undashed(report.turn_lines(analysis)),
        notes=("Each answer alone, the others as they are.",),
    )
    yield Section(
        report.ownership_title(analysis),
        ownership_plot(analysis),
        table=report.ownership(analysis),
        notes=_undashed(report.ownership_notes(analysis)),
    )
    yield Section("Where a retrieved answer's time goes", table=report.budget_table(analysis))
    yield Section(
        f"Preparing examples: {weeks.low:g} to {weeks.high:g} weeks", table=_tasks(analysis)
    )
    yield Section("What was answered", table=_answers(analysis))


def _undashed(lines: Iterator[str]) -> tuple[str, ...]:
    return tuple(text.removeprefix("- ") for text in lines)


def _tasks(analysis: Analysis) -> Table:
    first = Span(1, 1)
    rows = [
        [each.task.name, report.weeks(each.task.weeks), report.weeks(each.start + first)]
        for each in analysis.preparation
    ]
    return [["task", "weeks", "starts in week"], *rows]


def _answers(analysis: Analysis) -> Table:
    case = analysis.case
    words = {True: "yes", False: "no"}
    return [
        ["question", "answer"],
        ["Knowledge changes", case.knowledge_changes.words],
        ["Citations", words[case.needs_citations]],
        ["Style requirements", case.style_requirements],
        ["Training data", examples(case.training_data)],
        ["Latency limit", str(case.latency)],
        ["Queries a month", f"{case.monthly_queries:,}"],
        ["Data must not enter weights", words[case.data_must_not_enter_weights]],
        ["No external data access", words[case.no_external_data_access]],
    ]
