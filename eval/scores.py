"""What a set of asked questions says about retrieval, abstention and routing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eval.asking import Asked
from eval.intervals import Estimate, bootstrap, proportion
from router.intents import Route

ANSWERABLE = ("single", "multi")


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the report. `bar` is what we promise: at least, or with `at_most` at most."""

    name: str
    estimate: Estimate
    bar: float | None = None
    at_most: bool = False

    @property
    def reached(self) -> bool | None:
        """None where nothing is promised."""
        if self.bar is None:
            return None
        value = self.estimate.value
        return value <= self.bar if self.at_most else value >= self.bar


def answer_rows(asked: Sequence[Asked]) -> list[Row]:
    """Citations, facts and refusals, over the questions of fact."""
    answerable = [item for item in asked if item.question.kind in ANSWERABLE]
    unanswerable = [item for item in asked if item.question.kind == "unanswerable"]
    single = [item for item in answerable if item.question.kind == "single"]
    multi = [item for item in answerable if item.question.kind == "multi"]
    with_facts = [item for item in answerable if item.question.facts]
    odd = [item for item in answerable if item.question.zero_overlap]
    rows = [
        _share("gold document among at most 3 cited", answerable, _cites, bar=0.90),
        _share("  in one place", single, _cites),
        _share("  in two documents: one of them", multi, _cites),
        _share("  in two documents: both", multi, lambda item: item.cites_all_gold),
        _share("  no content word shared", odd, _cites),
        _share("answer holds the fact", with_facts, lambda item: item.holds_facts),
        _share("unanswerable refused", unanswerable, _refused, bar=0.60),
        _share("answerable refused", answerable, _refused, bar=0.10, at_most=True),
    ]
    return [row for row in rows if row is not None]


def route_rows(asked: Sequence[Asked]) -> list[Row]:
    """How well the router tells the routes apart."""
    rows = [Row("router macro-F1", bootstrap(asked, macro_f1), bar=0.85)]
    for route in Route:
        of_route = [item for item in asked if item.question.route == route]
        row = _share(f"  recall {route}", of_route, _right_route, bar=0.80)
        rows += [row] if row else []
    factual = [item for item in asked if item.question.route == Route.RAG]
    row = _share(
        "factual questions sent to fine_tuned", factual, lambda i: i.route == Route.FINE_TUNED
    )
    return [*rows, *([row] if row else [])]


def macro_f1(asked: Sequence[Asked]) -> float:
    """Mean over the routes of F1 = 2 tp / (2 tp + fp + fn); a route never asked for counts 0."""
    scores = []
    for route in Route:
        tp = sum(item.route == route == item.question.route for item in asked)
        fp = sum(item.route == route != item.question.route for item in asked)
        fn = sum(item.route != route == item.question.route for item in asked)
        scores.append(2 * tp / (2 * tp + fp + fn) if tp else 0.0)
    return sum(scores) / len(scores)


def _share(
    name: str,
    items: Sequence[Asked],
    holds: Callable[[Asked], bool],
    *,
    bar: float | None = None,
    at_most: bool = False,
) -> Row | None:
    if not items:
        return None
    hits = sum(holds(item) for item in items)
    return Row(name, proportion(hits, len(items)), bar, at_most)


def _cites(item: Asked) -> bool:
    return item.cites_gold


def _refused(item: Asked) -> bool:
    return item.refused


def _right_route(item: Asked) -> bool:
    return item.route == item.question.route
