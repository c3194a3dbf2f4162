"""Does an adapter answer in its schema? Every kept-back message, beside the ticket it should be."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from eval.intervals import Estimate, proportion
from serving.answers import Message, Sampling
from serving.generation import GenerationRequest, Generator
from serving.prompts import Prompt
from starter.tickets.schema import Ticket
from starter.tickets.write_tickets import FOLDER

MAX_NEW_TOKENS = 160  # the longest ticket has 99, as the starter tokenizer counts
VALID = "valid under the schema"
EXACT = "exact match"
FIELDS: Mapping[str, Callable[[Ticket], object]] = {
    "intent": lambda ticket: ticket.intent,
    "urgent": lambda ticket: ticket.urgent,
    "name": lambda ticket: ticket.customer.name,
    "booking": lambda ticket: ticket.customer.booking,
    "items": lambda ticket: ticket.items,
}


@dataclass(frozen=True, slots=True)
class Task:
    """A message under its system turn, and the ticket that it should become."""

    system: str
    message: str
    expected: Ticket

    @property
    def prompt(self) -> Prompt:
        """As a generator reads it: nothing is looked up."""
        return Prompt(self.system, (Message("user", self.message),), self.message)


@dataclass(frozen=True, slots=True)
class Filled:
    """What was written for a task; `ticket` is None where that is no valid one."""

    task: Task
    text: str
    ticket: Ticket | None

    def record(self) -> dict[str, Any]:
        """For a result file."""
        return {
            "message": self.task.message,
            "expected": self.task.expected.model_dump(mode="json"),
            "text": self.text,
            "valid": self.ticket is not None,
            "exact": self.ticket == self.task.expected,
        }


def read_tasks(path: Path = FOLDER / "validation.jsonl") -> list[Task]:
    """The examples that no adapter was trained on.

    Raises:
        ValidationError: an answer in the file does not fit the schema.
    """
    tasks = []
    for line in path.read_text(encoding="utf-8").splitlines():
        system, user, answer = (message["content"] for message in json.loads(line)["messages"])
        tasks.append(Task(system, user, Ticket.model_validate_json(answer)))
    return tasks


def fill_tickets(
    generator: Generator, tasks: Sequence[Task], *, adapter: str | None
) -> Iterator[Filled]:
    """Each message by itself, greedily, and all that is written for it.

    Raises:
        ServingError: there is no such adapter, or the model cannot run.
    """
    for task in tasks:
        request = GenerationRequest(
            prompt=task.prompt,
            sampling=Sampling(max_new_tokens=MAX_NEW_TOKENS),
            adapter=adapter,
        )
        text = "".join(piece.text for piece in generator.stream(request))
        yield Filled(task, text, read_ticket(text))


def read_ticket(text: str) -> Ticket | None:
    """The ticket that all of the text is; None where it is no JSON or does not fit the schema.

    >>> read_ticket('Here you are: {"intent":"lost"}') is None
    True
    """
    try:
        return Ticket.model_validate_json(text)
    except ValidationError:
        return None


def ticket_rows(filled: Sequence[Filled]) -> Mapping[str, Estimate]:
    """Shares of all messages: valid, each field right, everything right.

    An invalid answer has no field right, so no share is of the valid answers alone.
    """
    rows = {VALID: _share([item.ticket is not None for item in filled])}
    for name, read in FIELDS.items():
        rows[f"{name} right"] = _share(
            [
                item.ticket is not None and read(item.ticket) == read(item.task.expected)
                for item in filled
            ]
        )
    rows[EXACT] = _share([item.ticket == item.task.expected for item in filled])
    return rows


def _share(flags: Sequence[bool]) -> Estimate:
    return proportion(sum(flags), len(flags))
