"""A use case: what a team says about its knowledge, its voice, its data and its limits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, TypeVar

from router.errors import UseCaseError
from router.values import (
    Limit,
    ValueFormatError,
    as_frequency,
    count,
    limit,
    period_days,
    tidy,
    yes_or_no,
)

MONTH_DAYS = 31.0  # a period of up to one month, the longest one, counts as changing
LORA_FROM = 100
GOOD_FROM = 500
FULL_ABOVE = 1000
FAST_BELOW_MS = 100.0
RAG_FINE_BELOW_MS = 2000.0

Value = TypeVar("Value")


class Level(StrEnum):
    """How much a consistent style matters."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Change:
    """How often knowledge changes: in the team's words, and the days from one to the next."""

    words: str
    days: float

    @property
    def counts(self) -> bool:
        """Whether it changes often enough to be looked up instead of learned."""
        return self.days <= MONTH_DAYS


@dataclass(frozen=True, slots=True)
class Readiness:
    """What the check of a data set found: rows, those that teach something, and problems."""

    source: str
    rows: int
    usable: int
    problems: tuple[str, ...] = ()
    changing_facts: str | None = None  # the summary, where the answers hold some


@dataclass(frozen=True, slots=True)
class UseCase:
    """Six answers, two that compliance may add, and what is known of the examples."""

    knowledge_changes: Change
    needs_citations: bool
    style_requirements: Level
    training_data: int
    latency: Limit
    monthly_queries: int
    data_must_not_enter_weights: bool = False
    no_external_data_access: bool = False
    readiness: Readiness | None = None

    @property
    def needs_documents(self) -> bool:
        """Whether what it knows must be looked up: it changes, or it must be cited."""
        return self.knowledge_changes.counts or self.needs_citations

    @property
    def high_style(self) -> bool:
        """Whether the voice asks for training."""
        return self.style_requirements is Level.HIGH

    @property
    def fast(self) -> bool:
        """Whether the limit leaves no time for looking anything up."""
        return self.latency.under(FAST_BELOW_MS)

    @property
    def enough_examples(self) -> bool:
        """Whether an adapter can be trained."""
        return self.training_data >= LORA_FROM

    def record(self) -> dict[str, Any]:
        """For JSON; no limit and no change are null."""
        return asdict(self) | {
            "knowledge_changes": self.knowledge_changes.words,
            "change_days": _finite(self.knowledge_changes.days),
            "latency": str(self.latency),
            "latency_ms": _finite(self.latency.time_ms),
        }


def read_change(text: str) -> Change:
    """A period as people write it, with words for the report, where "changes" stands before them.

    >>> read_change("Weekly").words, read_change("two weeks").words, read_change("static").words
    ('weekly', 'every two weeks', 'never')
    """
    days = period_days(text)
    words = {0.0: "constantly", math.inf: "never"}.get(days, " ".join(text.lower().split()))
    return Change(as_frequency(words.rstrip(".")), days)


def read_level(text: str) -> Level:
    """How much style matters."""
    allowed = f"write {', '.join(Level)}"
    word = tidy(text, allowed)
    word = {"none": "low", "moderate": "medium"}.get(word, word)
    if word not in set(Level):
        raise ValueFormatError(f"{text!r} is no level; {allowed}")
    return Level(word)


def read_examples(text: str) -> int:
    """How many examples there are to train on."""
    return count(text, of="examples")


def read_queries(text: str) -> int:
    """How many queries a month."""
    return count(text, of="queries", smallest=1)


READERS: Mapping[str, Callable[[str], Any]] = {
    "knowledge_changes": read_change,
    "needs_citations": yes_or_no,
    "style_requirements": read_level,
    "training_data": read_examples,
    "latency_requirement": limit,
    "monthly_queries": read_queries,
}


def read_use_case(
    answers: Mapping[str, str],
    *,
    readiness: Readiness | None = None,
    data_must_not_enter_weights: bool = False,
    no_external_data_access: bool = False,
) -> UseCase:
    """The six answers in words -> a use case; a readiness report stands for `training_data`.

    Raises:
        UseCaseError: answers are missing or cannot be understood; lists every one.
    """
    problems: dict[str, str] = {}
    read: dict[str, Any] = {}
    for name, reader in READERS.items():
        if name == "training_data" and readiness is not None:
            read[name] = readiness.usable
        elif name not in answers:
            problems[name] = "missing; there is no default"
        else:
            try:
                read[name] = reader(answers[name])
            except ValueFormatError as error:
                problems[name] = str(error)
    if problems:
        raise UseCaseError(problems)
    return UseCase(
        knowledge_changes=read["knowledge_changes"],
        needs_citations=read["needs_citations"],
        style_requirements=read["style_requirements"],
        training_data=read["training_data"],
        latency=read["latency_requirement"],
        monthly_queries=read["monthly_queries"],
        data_must_not_enter_weights=data_must_not_enter_weights,
        no_external_data_access=no_external_data_access,
        readiness=readiness,
    )


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
