"""The readiness report on a set of examples, as the decision engine takes it."""

from __future__ import annotations

from collections.abc import Sequence

from finetune.problems import Kind, Problem
from router.use_case import Readiness

TEACHES_NOTHING = {Kind.EXACT_DUPLICATES, Kind.NEAR_DUPLICATES, Kind.EMPTY}


def readiness_of(source: str, rows: int, problems: Sequence[Problem]) -> Readiness:
    """Rows that repeat another one or hold no answer don't count as examples."""
    lost = {
        finding.line
        for problem in problems
        if problem.kind in TEACHES_NOTHING
        for finding in problem.findings
    }
    facts = [each.summary for each in problems if each.kind is Kind.VOLATILE_FACTS]
    return Readiness(
        source=source,
        rows=rows,
        usable=max(0, rows - len(lost)),
        problems=tuple(f"{each.kind}: {each.summary}" for each in problems),
        changing_facts=facts[0] if facts else None,
    )
