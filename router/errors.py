"""What can be wrong with a use case or with what is assumed about it."""

from __future__ import annotations

from collections.abc import Mapping


class DecisionError(Exception):
    """Base of the decision engine's errors."""


class UseCaseError(DecisionError):
    """Answers that cannot be understood; `problems` has one text for each answer's name."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {text}" for name, text in problems.items()))
        self.problems = dict(problems)


class PageError(DecisionError):
    """The page cannot be written where it was asked for."""


class AssumptionsError(DecisionError):
    """A price file or a result file cannot be used; lists every problem."""
