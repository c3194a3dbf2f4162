"""What the report says, in lines of plain text: for the terminal, a page, or a file."""

from __future__ import annotations

import math
from collections.abc import Iterator

from router.amounts import Span, dollar_span, dollars, queries, thousands
from router.analysis import GPU, SYSTEMS, Analysis
from router.costs import NOTHING, Bill, Line
from router.intents import Route
from router.ownership import CATEGORIES

TITLE = "Analysis Report"
MODES = {"self_hosted": "self-hosted adapter", "managed": "managed by a provider"}


def conflict_lines(analysis: Analysis) -> Iterator[str]:
    """Each conflict, and what would make it possible."""
    for conflict in analysis.decision.conflicts:
        yield f"CONFLICT: {conflict.text}. Possible with:"
        yield from (f"- {remedy}" for remedy in conflict.possible_with)


def warning_lines(analysis: Analysis) -> Iterator[str]:
    """What stands in the way, or should be looked at."""
    yield from (f"WARNING: {text}" for text in analysis.decision.warnings)


def cost_lines(analysis: Analysis) -> Iterator[str]:
    """The bill of the recommended system."""
    volume = analysis.case.monthly_queries
    for line in analysis.bill.lines:
        yield f"- {_cost(line, volume)}"
    if analysis.bill.capacity is not None:
        yield f"- Capacity: {_most(analysis.bill.capacity)} queries a month"
    if analysis.bill.exceeded_by(volume):
        yield f"WARNING: {volume:,} queries a month are more than one host's capacity."


def panel_lines(analysis: Analysis) -> Iterator[str]:
    """The whole panel, an empty line between its parts."""
    decision = analysis.decision
    yield f"RECOMMENDATION: {decision.recommendation}"
    yield ""
    yield "Reasoning:"
    yield from (f"- {reason}" for reason in decision.reasons)
    for part in (list(warning_lines(analysis)), list(conflict_lines(analysis))):
        if part:
            yield ""
            yield from part
    yield ""
    monthly = analysis.bill.monthly(analysis.case.monthly_queries)
    yield f"Estimated Monthly Cost: {dollars(monthly)}"
    yield from cost_lines(analysis)


def comparison_title(analysis: Analysis) -> str:
    """What stands side by side."""
    mode = MODES[analysis.prices.mode]
    return f"Side by side, {analysis.case.monthly_queries:,} queries a month ({mode})"


def comparison(analysis: Analysis) -> list[list[str]]:
    """A head and rows: a month, once, capacity, and from where on the GPU is cheaper."""
    volume = analysis.case.monthly_queries
    bills = [*analysis.bills.values(), analysis.gpu]
    return [
        ["", *SYSTEMS.values(), GPU],
        ["a month", *(dollars(bill.monthly(volume)) for bill in bills)],
        ["once", *("–" if bill.once == NOTHING else dollar_span(bill.once) for bill in bills)],
        ["queries at most", *(_capacity(bill, volume) for bill in bills)],
        ["GPU cheaper from", *(_from(analysis, route) for route in SYSTEMS), ""],
    ]


def comparison_note(analysis: Analysis) -> str:
    """What the last column stands for."""
    prices = analysis.prices
    machine, tokens = prices.capacity, prices.per_query.llm_tokens
    return (
        f"{GPU}: model, adapter and embedder on a card at {dollars(prices.gpu.price_per_hour)} an "
        f"hour, the documents hosted as above; {machine.tokens_per_s:g} tokens/s, busy "
        f"{machine.busy_share:.0%} of the time, {tokens:,} tokens a query. “never”: not for any "
        "number of queries that it gets done."
    )


def ownership(analysis: Analysis) -> list[list[str]]:
    """A head, a row for each category, and the total."""
    systems = [analysis.owned[route] for route in SYSTEMS]
    rows = zip(CATEGORIES, *(each.parts for each in systems), strict=True)
    return [
        ["", *SYSTEMS.values()],
        *([name, *map(thousands, amounts)] for name, *amounts in rows),
        ["Total", *(thousands(each.total) for each in systems)],
    ]


def ownership_title(analysis: Analysis) -> str:
    """How long is looked ahead."""
    months = analysis.prices.ownership.months
    years = {12: "One year", 24: "Two years"}.get(months, f"{months} months")
    return f"{years}, people's hours included"


def ownership_notes(analysis: Analysis) -> Iterator[str]:
    """The hours that the table assumes."""
    plan = analysis.prices.ownership
    yield f"Assumed: {dollars(plan.engineer_hour)} an hour, and these hours:"
    for route, name in SYSTEMS.items():
        work = plan.work(route)
        parts = [f"{work.build_hours:g} to build", f"{work.maintenance_hours_per_week:g} a week"]
        if work.update_hours:
            parts.append(f"{work.update_hours:g} {_every(work.update_every_months)} to update")
        if work.training_hours:
            parts.append(f"{work.training_hours:g} {_every(work.training_every_months)} to train")
        yield f"- {name}: {', '.join(parts)}"
    yield from _beyond_one_host(analysis)


def _beyond_one_host(analysis: Analysis) -> Iterator[str]:
    volume = analysis.case.monthly_queries
    for route, name in SYSTEMS.items():
        if analysis.bills[route].exceeded_by(volume):
            yield f"WARNING: {name} counts one host; {volume:,} queries a month are more."


def budget_table(analysis: Analysis) -> list[list[str]]:
    """A head, the steps, and the total."""
    budget = analysis.budget
    return [
        ["step", "time", "source"],
        *([each.name, _times(each.time_ms), each.source] for each in budget.steps),
        ["Total", _times(budget.total_ms), ""],
    ]


def weeks(span: Span) -> str:
    """One number of weeks, or from the least to the most.

    >>> weeks(Span(1, 1)), weeks(Span(2, 4))
    ('1', '2–4')
    """
    return f"{span.low:g}" if span.low == span.high else f"{span.low:g}–{span.high:g}"


def turn_lines(analysis: Analysis) -> Iterator[str]:
    """Each answer that, changed alone, leads elsewhere."""
    for turn in analysis.turns:
        same = turn.recommendation is analysis.decision.recommendation
        then = "the same, without that conflict" if same else str(turn.recommendation)
        yield f"- {turn.answer}: {turn.value} (now {turn.now}) → {then}"
    if not analysis.turns:
        yield "- Nothing: no single answer, changed, leads to another recommendation."


def _cost(line: Line, volume: int) -> str:
    once = "" if line.once == NOTHING else f"one-time: {dollar_span(line.once)}"
    if not line.fixed and not line.per_query and once:
        return f"{line.name} ({once})"
    amount = f"{line.name}: {dollars(line.monthly(volume))}"
    return f"{amount} ({once})" if once else amount


def _capacity(bill: Bill, volume: int) -> str:
    if bill.capacity is None:
        return "–"
    return f"{_most(bill.capacity)}{', exceeded' if bill.exceeded_by(volume) else ''}"


def _most(capacity: float) -> str:
    """Whole queries that a machine gets done: rounded down."""
    return f"{math.floor(capacity + 1e-9):,}"


def _from(analysis: Analysis, route: Route) -> str:
    volume = analysis.gpu_cheaper_from[route]
    if volume is None:
        return "never"
    return "always" if volume == 0 else queries(volume)


def _times(span: Span) -> str:
    low, high = (
        f"{each:,.1f}" if each < 10 and each % 1 else f"{each:,.0f}"
        for each in (span.low, span.high)
    )
    return f"{low} ms" if low == high else f"{low}–{high} ms"


def _every(months: int) -> str:
    return "a month" if months == 1 else f"every {months} months"
