"""How long it takes to make a set of examples, task by task.

The tasks add up to 7 to 12 weeks; the table that they were published in gives 8 to 14 as its sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from router.amounts import Span


@dataclass(frozen=True, slots=True)
class Task:
    """A task and the weeks it takes."""

    name: str
    weeks: Span


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A task and when it starts, in weeks: at the earliest and at the latest."""

    task: Task
    start: Span

    @property
    def end(self) -> Span:
        """When it is done."""
        return self.start + self.task.weeks

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.task.name,
            "weeks": asdict(self.task.weeks),
            "start_week": asdict(self.start),
        }


TASKS = (
    Task("Collection", Span(1, 2)),
    Task("Filtering", Span(1, 3)),
    Task("Format", Span(1, 1)),
    Task("Edge cases", Span(1, 1)),
    Task("Validation set", Span(1, 1)),
    Task("Annotation", Span(2, 4)),
)


def schedule() -> tuple[Scheduled, ...]:
    """The tasks, each after the one before."""
    return tuple(_schedule())


def total_weeks() -> Span:
    """All of them.

    >>> total_weeks()
    Span(low=7, high=12)
    """
    return schedule()[-1].end


def _schedule() -> Iterator[Scheduled]:
    start = Span(0, 0)
    for task in TASKS:
        planned = Scheduled(task, start)
        yield planned
        start = planned.end
