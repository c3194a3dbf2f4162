"""Which single answer, given otherwise, would change the recommendation, and at what value."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from router.amounts import examples
from router.latency_budget import Budget
from router.recommendation import Recommendation, decide
from router.use_case import FAST_BELOW_MS, LORA_FROM, MONTH_DAYS, Change, Level, UseCase
from router.values import Limit


@dataclass(frozen=True, slots=True)
class Turn:
    """An answer, what it is now, the nearest value that changes something, and what it changes.

    `resolves` says that a conflict goes away; the recommendation may then be the same.
    """

    answer: str
    now: str
    value: str
    recommendation: Recommendation
    resolves: bool

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Alternative:
    """A use case with one answer changed to just beyond a threshold."""

    answer: str
    now: str
    value: str
    case: UseCase


def turns(case: UseCase, budget: Budget) -> tuple[Turn, ...]:
    """Every single change that leads elsewhere, in the order of the questions."""
    now = decide(case, budget)
    found = []
    for other in alternatives(case):
        then = decide(other.case, budget)
        moved = then.recommendation is not now.recommendation
        resolves = len(then.conflicts) < len(now.conflicts)
        if moved or resolves:
            found.append(Turn(other.answer, other.now, other.value, then.recommendation, resolves))
    return tuple(found)


def alternatives(case: UseCase) -> Iterator[Alternative]:
    """One on the other side of each threshold."""
    cites, kept_out = case.needs_citations, case.data_must_not_enter_weights
    closed = case.no_external_data_access
    yield _change(case)
    yield _flipped("Citations", cites, replace(case, needs_citations=not cites))
    yield _style(case)
    yield _examples(case)
    yield _limit(case)
    yield _flipped(
        "Data must not enter weights",
        kept_out,
        replace(case, data_must_not_enter_weights=not kept_out),
    )
    yield _flipped(
        "No external data access", closed, replace(case, no_external_data_access=not closed)
    )


def _change(case: UseCase) -> Alternative:
    change = case.knowledge_changes
    if change.counts:
        value, days = "less often than monthly", math.inf
    else:
        value, days = "monthly or more often", MONTH_DAYS
    other = replace(case, knowledge_changes=Change(value, days))
    return Alternative("Knowledge changes", change.words, value, other)


def _examples(case: UseCase) -> Alternative:
    enough = case.enough_examples
    value = f"fewer than {LORA_FROM}" if enough else f"{LORA_FROM} or more"
    other = replace(case, training_data=LORA_FROM - 1 if enough else LORA_FROM)
    return Alternative("Training data", examples(case.training_data), value, other)


def _limit(case: UseCase) -> Alternative:
    other = Limit(FAST_BELOW_MS, below=not case.fast)
    value = f"{other} or more" if case.fast else str(other)
    return Alternative("Latency limit", str(case.latency), value, replace(case, latency=other))


def _style(case: UseCase) -> Alternative:
    low = f"{Level.MEDIUM} or {Level.LOW}"
    level, value = (Level.MEDIUM, low) if case.high_style else (Level.HIGH, str(Level.HIGH))
    other = replace(case, style_requirements=level)
    return Alternative("Style requirements", case.style_requirements, value, other)


def _flipped(answer: str, now: bool, case: UseCase) -> Alternative:
    words = {True: "yes", False: "no"}
    return Alternative(answer, words[now], words[not now], case)
