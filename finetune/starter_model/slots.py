"""What made-up facts are made of: amounts, dates, names, drawn anew for every passage."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

PARTS = Path(__file__).parent / "parts"
Draw = Callable[[random.Random], str]


@cache
def words() -> Mapping[str, list[str]]:
    """The lists of `parts/words.toml`."""
    return tomllib.loads((PARTS / "words.toml").read_text(encoding="utf-8"))


@cache
def families() -> tuple[Mapping[str, Any], ...]:
    """The rules of `parts/facts.toml`; its head says what stands in one."""
    return tuple(tomllib.loads((PARTS / "facts.toml").read_text(encoding="utf-8"))["family"])


def draw(slot: str, rng: random.Random) -> str:
    """A value for a slot.

    Raises:
        KeyError: no such slot.
    """
    return _SLOTS[slot](rng)


def company(rng: random.Random) -> str:
    """A name such as "Velora Parcels"."""
    return f"{name(rng)} {rng.choice(words()['trades'])}"


def name(rng: random.Random) -> str:
    """A word that means nothing."""
    parts = [rng.choice(words()["syllables"]) for _ in range(rng.choice([1, 1, 2]))]
    return ("".join(parts) + rng.choice(words()["endings"])).capitalize()


def thing(family: Mapping[str, Any], rng: random.Random) -> str:
    """One of the family's own things, or one that nobody has heard of."""
    own: str = rng.choice(family["things"])
    if rng.random() < 0.45:
        return own
    adjective, noun = rng.choice(words()["adjectives"]), rng.choice(words()["nouns"])
    if not own.startswith(("a ", "an ", "the ")):
        return f"{adjective} {plural(noun)}"
    if own.startswith("the "):
        return f"the {adjective} {noun}"
    return f"{'an' if adjective[0] in 'aeiou' else 'a'} {adjective} {noun}"


def plural(noun: str) -> str:
    """Of a regular noun."""
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"


def _amount(rng: random.Random) -> str:
    if rng.random() < 0.3:
        number = f"{rng.randrange(1, 100)}.{rng.choice(['50', '90', '20', '75', '95'])}"
    elif rng.random() < 0.15:
        number = f"{rng.randrange(1, 10)},{rng.randrange(0, 1000):03d}"
    else:
        number = str(rng.choice([rng.randrange(1, 100), 5 * rng.randrange(1, 200)]))
    return rng.choice([f"€{number}", f"€{number}", f"${number}", f"{number} euros", f"£{number}"])


def _count(low: int, high: int) -> Draw:
    return lambda rng: str(rng.randrange(low, high))


def _span(rng: random.Random) -> str:
    number: int | str = rng.randrange(2, 60)
    if rng.random() < 0.25:
        number = rng.choice(words()["numbers"])
    unit = rng.choice(["days", "days", "hours", "weeks", "months", "working days", "minutes"])
    return f"{number} {unit}"


def _clock(rng: random.Random) -> str:
    hour, minute = rng.randrange(6, 23), rng.choice(["00", "15", "30", "45"])
    if rng.random() < 0.3:
        minutes = f":{minute}" if minute != "00" else ""
        return f"{hour % 12 or 12}{minutes} {'am' if hour < 12 else 'pm'}"
    return f"{hour:02d}:{minute}"


def _hours(rng: random.Random) -> str:
    first, last = sorted(rng.sample(range(6, 23), 2))
    span = f"from {first}:00 to {last}:{rng.choice(['00', '30'])}"
    days = words()["weekdays"]
    if rng.random() < 0.5:
        start = rng.randrange(5)
        return f"{span}, {days[start]} to {days[rng.randrange(start + 1, 7)]}"
    return rng.choice([span, f"{span} every day", f"{span} on {rng.choice(days)}"])


def _size(rng: random.Random) -> str:
    sides = [str(rng.randrange(10, 200)) for _ in range(rng.choice([2, 3]))]
    return f"{' x '.join(sides)} cm"


def _date(rng: random.Random) -> str:
    day, month = rng.randrange(1, 29), rng.choice(words()["months"])
    year = f" {rng.randrange(2023, 2029)}" if rng.random() < 0.6 else ""
    return f"{day} {month}{year}"


def _phone(rng: random.Random) -> str:
    return f"+{rng.randrange(30, 50)} {rng.randrange(10, 999)} {rng.randrange(1000, 999999)}"


def _email(rng: random.Random) -> str:
    place = name(rng).lower()
    return f"{name(rng).lower()}@{place}.{rng.choice(['com', 'org', 'example', 'eu'])}"


def _code(rng: random.Random) -> str:
    letters = "".join(rng.choice("ABCDEFGHKLMNPRSTUVWXYZ") for _ in range(rng.choice([1, 2, 3])))
    return f"{letters}-{rng.randrange(10, 9999)}"


def _setting(rng: random.Random) -> str:
    return f"--{name(rng).lower()}-{rng.choice(words()['settings'])}"


def _one_of(key: str) -> Draw:
    return lambda rng: rng.choice(words()[key])


_SLOTS: Mapping[str, Draw] = {
    "age": _count(3, 22),
    "amount": _amount,
    "clock": _clock,
    "code": _code,
    "count": _count(1, 40),
    "date": _date,
    "degrees": lambda rng: f"{rng.randrange(2, 30)} °C",
    "document": _one_of("papers"),
    "email": _email,
    "hours": _hours,
    "material": _one_of("materials"),
    "minutes": lambda rng: f"{5 * rng.randrange(1, 13)} minutes",
    "percent": lambda rng: f"{rng.randrange(2, 75)}{rng.choice([' %', '%', ' per cent'])}",
    "person": lambda rng: f"{rng.choice(words()['first_names'])} {name(rng)}",
    "phone": _phone,
    "place": _one_of("places"),
    "points": lambda rng: str(50 * rng.randrange(1, 100)),
    "setting": _setting,
    "size": _size,
    "span": _span,
    "weekday": _one_of("weekdays"),
    "weight": lambda rng: f"{rng.randrange(1, 90)} {rng.choice(['kg', 'kg', 'kilograms'])}",
    "years": lambda rng: f"{rng.choice(words()['numbers'])} years",
}
