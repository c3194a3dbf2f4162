"""The wordings of `wordings.toml` -> examples of messages and their tickets, split for training.

    python -m starter.tickets.write_tickets

Every template is used as often as any other. Surnames are split first and a booking is drawn once,
so none that a validation message holds is ever trained on. The same wordings give the same bytes.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from starter.tickets.schema import SYSTEM, Customer
from starter.tickets.wordings import Wordings, draw, read_wordings
from starter.writing_files import write_files

FOLDER = Path(__file__).parent
SEED = 7
EXAMPLES = {"train": 500, "validation": 150}

Example = dict[str, list[dict[str, str]]]
Part = TypeVar("Part")


def main() -> None:
    """Write both files beside this module, and say how many examples each holds."""
    write_files(FOLDER, files())


def files() -> dict[str, str]:
    """File name -> its text: `train.jsonl` and `validation.jsonl`."""
    wordings = read_wordings()
    chance = random.Random(SEED)
    surnames = _shuffled(wordings.surnames, chance)
    bookings = _bookings(wordings, chance)
    kept = len(surnames) * EXAMPLES["validation"] // sum(EXAMPLES.values())
    written: dict[str, str] = {}
    for split, own in (("train", surnames[kept:]), ("validation", surnames[:kept])):
        people = _people(wordings.first_names, own, bookings, chance)
        rows = examples(wordings, people, count=EXAMPLES[split], chance=chance)
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        written[f"{split}.jsonl"] = "".join(lines)
    return written


def examples(
    wordings: Wordings, people: Iterator[Customer], *, count: int, chance: random.Random
) -> list[Example]:
    """As many as asked for, no message twice."""
    found: dict[str, Example] = {}
    templates = itertools.cycle(_shuffled(wordings.templates, chance))
    while len(found) < count:
        message, ticket = draw(wordings, next(templates), people, chance)
        contents = {"system": SYSTEM, "user": message, "assistant": ticket.compact()}
        turns = [{"role": role, "content": text} for role, text in contents.items()]
        found.setdefault(message, {"messages": turns})
    rows = list(found.values())
    chance.shuffle(rows)
    return rows


def _people(
    first_names: Sequence[str],
    surnames: Sequence[str],
    bookings: Iterator[str],
    chance: random.Random,
) -> Iterator[Customer]:
    """For ever; each surname and each first name once before any a second time."""
    names = zip(
        itertools.cycle(_shuffled(first_names, chance)), itertools.cycle(surnames), strict=False
    )
    for first_name, surname in names:
        yield Customer(name=f"{first_name} {surname}", booking=next(bookings))


def _bookings(wordings: Wordings, chance: random.Random) -> Iterator[str]:
    """Different ones, until the thousands of them are used up."""
    numbers = chance.sample(range(1000, 10_000), 9000)
    return (f"{chance.choice(wordings.booking_codes)}-{number}" for number in numbers)


def _shuffled(items: Iterable[Part], chance: random.Random) -> list[Part]:
    shuffled = list(items)
    chance.shuffle(shuffled)
    return shuffled


if __name__ == "__main__":
    main()
