"""The hand-written wordings, and a message drawn from them with the ticket that it becomes."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starter.tickets.schema import Customer, Intent, Item, Thing, Ticket

WORDINGS = Path(__file__).parent / "wordings.toml"
URGENT_RATE = 0.35
COUNTS, COUNT_WEIGHTS = (1, 2, 3, 4), (5, 3, 2, 1)
LISTED, LISTED_WEIGHTS = (1, 2, 3), (6, 3, 1)  # items of a message that names any
# What a message tells of the customer: about a quarter lack the name, the booking or both.
TOLD, TOLD_WEIGHTS = ("both", "name", "booking", "neither"), (74, 10, 10, 6)


@dataclass(frozen=True, slots=True)
class Template:
    """A message with the places {who}, {items} and {urgency}; `things` are those that suit it."""

    intent: Intent
    text: str
    things: tuple[Thing, ...]


@dataclass(frozen=True, slots=True)
class Wordings:
    """`counts` and `things` say how many of what: a thing's plural, and phrases by count."""

    templates: tuple[Template, ...]
    first_names: tuple[str, ...]
    surnames: tuple[str, ...]
    booking_codes: tuple[str, ...]
    counts: Mapping[int, Sequence[str]]
    things: Mapping[str, str]
    urgency: Mapping[str, Sequence[str]]
    who: Mapping[str, Sequence[str]]


def read_wordings() -> Wordings:
    """Those of `wordings.toml`; its head says what stands in them."""
    values: Mapping[str, Any] = tomllib.loads(WORDINGS.read_text(encoding="utf-8"))
    return Wordings(
        templates=tuple(
            Template(intent["name"], text, tuple(intent["things"]))
            for intent in values["intent"]
            for text in intent["templates"]
        ),
        first_names=tuple(values["first_names"]),
        surnames=tuple(
            start + ending
            for start in values["surname_starts"]
            for ending in values["surname_endings"]
        ),
        booking_codes=tuple(values["booking_codes"]),
        counts={int(count): phrases for count, phrases in values["counts"].items()},
        things=values["things"],
        urgency=values["urgency"],
        who=values["who"],
    )


def draw(
    wordings: Wordings, template: Template, people: Iterator[Customer], chance: random.Random
) -> tuple[str, Ticket]:
    """(message, ticket), of the next of the people, who may tell less than all."""
    person = next(people)
    (told,) = chance.choices(TOLD, TOLD_WEIGHTS)
    urgent = chance.random() < URGENT_RATE
    items = _items(template, chance) if "{items}" in template.text else ()
    who = chance.choice(wordings.who[told]).format(name=person.name, booking=person.booking)
    message = template.text.format(
        who=who,
        items=_listed([_phrase(item, wordings, chance) for item in items]),
        urgency=chance.choice(wordings.urgency["urgent" if urgent else "calm"]),
    )
    customer = Customer(
        name=person.name if told in ("both", "name") else None,
        booking=person.booking if told in ("both", "booking") else None,
    )
    ticket = Ticket(intent=template.intent, urgent=urgent, customer=customer, items=items)
    return " ".join(message.split()), ticket


def _items(template: Template, chance: random.Random) -> tuple[Item, ...]:
    (listed,) = chance.choices(LISTED, LISTED_WEIGHTS)
    return tuple(
        Item(what=what, count=chance.choices(COUNTS, COUNT_WEIGHTS)[0])
        for what in chance.sample(template.things, listed)
    )


def _phrase(item: Item, wordings: Wordings, chance: random.Random) -> str:
    phrase = chance.choice(wordings.counts[item.count])
    return phrase.format(one=item.what, more=wordings.things[item.what])


def _listed(phrases: Sequence[str]) -> str:
    *before, last = phrases or [""]
    return f"{', '.join(before)} and {last}" if before else last
