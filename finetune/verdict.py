"""Whether there are enough examples to train on, and on how much of the model."""

from __future__ import annotations

from enum import StrEnum

POSSIBLE_FROM = 100
GOOD_FROM = 500
FULL_ABOVE = 1000


class Verdict(StrEnum):
    """What a number of examples is enough for."""

    NOT_ENOUGH = "not enough"
    POSSIBLE = "possible"
    GOOD = "good"
    FULL = "enough for full fine-tuning"

    @classmethod
    def of(cls, count: int) -> Verdict:
        """The verdict on a number of examples.

        >>> [str(Verdict.of(count)) for count in (99, 100, 500, 1001)]
        ['not enough', 'possible', 'good', 'enough for full fine-tuning']
        """
        if count < POSSIBLE_FROM:
            return cls.NOT_ENOUGH
        if count < GOOD_FROM:
            return cls.POSSIBLE
        return cls.FULL if count > FULL_ABOVE else cls.GOOD

    @property
    def enough(self) -> bool:
        """Whether training makes sense at all."""
        return self is not Verdict.NOT_ENOUGH

    @property
    def advice(self) -> str:
        """What to do with so many."""
        return _ADVICE[self]


_ADVICE = {
    Verdict.NOT_ENOUGH: f"under {POSSIBLE_FROM}: use retrieval and few-shot prompting, "
    "or collect more",
    Verdict.POSSIBLE: f"under {GOOD_FROM}: training is possible, quality may be limited",
    Verdict.GOOD: f"{GOOD_FROM} and more: train an adapter",
    Verdict.FULL: f"over {FULL_ABOVE:,}: train an adapter; full fine-tuning is possible too",
}
