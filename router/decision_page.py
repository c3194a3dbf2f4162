"""The analysis of a use case as one page that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

from router import report
from router.amounts import dollars
from router.analysis import Analysis
from router.cost_plots import monthly_plot, ownership_plot
from router.data_preparation import Scheduled
from router.flow_chart import flow_chart
from router.latency_budget import Step

TEMPLATE_FILE = Path(__file__).with_name("decision_page.html")


def write_page(analysis: Analysis, path: Path) -> None:
    """The page as a file; it appears whole or not at all."""
    text = page(analysis)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.tmp")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)


def page(analysis: Analysis) -> str:
    """HTML with the pictures inside; all that people wrote is escaped."""
    decision = analysis.decision
    comparison, ownership = report.comparison(analysis), report.ownership(analysis)
    weeks = analysis.preparation_weeks
    return Template(TEMPLATE_FILE.read_text(encoding="utf-8")).substitute(
        recommendation=escape(decision.recommendation),
        reasons=_items(decision.reasons),
        notices="".join(
            [
                *(_notice("warning", text) for text in decision.warnings),
                *(
                    _notice("conflict", conflict.text, conflict.possible_with)
                    for conflict in decision.conflicts
                ),
            ]
        ),
        answers=_answers(analysis),
        flow=flow_chart(analysis.flow).markup(),
        monthly=escape(dollars(analysis.bill.monthly(analysis.case.monthly_queries))),
        bill=_items(text.removeprefix("- ") for text in report.cost_lines(analysis)),
        monthly_plot=monthly_plot(analysis).markup(),
        comparison_title=escape(report.comparison_title(analysis)),
        comparison=_table(comparison),
        comparison_note=escape(report.comparison_note(analysis)),
        ownership_title=escape(report.ownership_title(analysis)),
        ownership_plot=ownership_plot(analysis).markup(),
        ownership=_table(ownership),
        ownership_notes="<br>".join(map(escape, report.ownership_notes(analysis))),
        budget=_table(_budget(analysis)),
        turns=_items(text.removeprefix("- ") for text in report.turn_lines(analysis)),
        weeks=f"{weeks.low:g} to {weeks.high:g}",
        preparation=_table([["task", "weeks", "starts in week"], *_tasks(analysis.preparation)]),
    )


def _answers(analysis: Analysis) -> str:
    case = analysis.case
    rows = [
        ("Knowledge changes", case.knowledge_changes.words),
        ("Citations", _yes(case.needs_citations)),
        ("Style requirements", case.style_requirements),
        ("Training data", f"{case.training_data:,} examples"),
        ("Latency limit", str(case.latency)),
        ("Queries a month", f"{case.monthly_queries:,}"),
        ("Data must not enter weights", _yes(case.data_must_not_enter_weights)),
        ("No external data access", _yes(case.no_external_data_access)),
    ]
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)


def _budget(analysis: Analysis) -> list[list[str]]:
    total = Step("Total", analysis.budget.total_ms, "")
    return [
        ["milliseconds", "from", "to", ""],
        *(
            [step.name, f"{step.time_ms.low:,.3g}", f"{step.time_ms.high:,.3g}", step.source]
            if step.time_ms.high < 100
            else [step.name, f"{step.time_ms.low:,.0f}", f"{step.time_ms.high:,.0f}", step.source]
            for step in (*analysis.budget.steps, total)
        ),
    ]


def _tasks(preparation: Sequence[Scheduled]) -> list[list[str]]:
    return [
        [
            each.task.name,
            _span(each.task.weeks.low, each.task.weeks.high),
            _span(each.start.low + 1, each.start.high + 1),
        ]
        for each in preparation
    ]


def _span(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g}–{high:g}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _items(texts: Iterable[str]) -> str:
    return "".join(f"<li>{escape(text)}</li>" for text in texts)


def _notice(kind: str, text: str, possible_with: Iterable[str] = ()) -> str:
    remedies = _items(possible_with)
    more = f"<p>Possible with:</p><ul>{remedies}</ul>" if remedies else ""
    return f'<div class="{kind}"><p><strong>{kind.upper()}:</strong> {escape(text)}</p>{more}</div>'


def _table(rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows[1:]
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'
