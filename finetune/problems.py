"""What the readiness check finds wrong, and in which rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What may be wrong with a set of examples."""

    EXACT_DUPLICATES = "exact duplicates"
    NEAR_DUPLICATES = "near duplicates"
    LEAKAGE = "leakage into the validation file"
    TOO_LONG = "examples longer than the context"
    ANSWER_TOO_LONG = "answers longer than the context"
    EMPTY = "empty answers"
    TRUNCATED = "answers cut short"
    INCONSISTENT_FORM = "inconsistent form"
    MIXED_VOICES = "several voices"
    VOLATILE_FACTS = "facts that change"


@dataclass(frozen=True, slots=True)
class Finding:
    """A row and what is the matter with it; `line` is `Example.line`."""

    line: int
    detail: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Something to put right before training, the rows it was found in, and what to do."""

    kind: Kind
    summary: str
    advice: str
    findings: tuple[Finding, ...]

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
