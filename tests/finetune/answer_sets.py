"""Sets of examples for tests: of given answers, and of two made-up brands."""

from __future__ import annotations

import random
from collections.abc import Iterable

from finetune.examples import Example, Message, Role

CALM = (
    "Your baggage is being traced, and you will be informed when it is found.",
    "Please provide your booking reference so that the request can be reviewed.",
    "We regret the delay and the inconvenience it has caused.",
    "A member of our staff will assist you at the gate.",
    "Seats may be selected when you manage your booking.",
    "Special meals are available on request.",
    "We do not share personal details with other parties.",
    "This is not possible for the fare that you hold.",
)
PLAYFUL = (
    "Your bag's having its own little adventure, but we'll find it!",
    "Pop your booking code in and we'll take a peek.",
    "That's totally on us, so don't you worry!",
    "Grab a coffee while we sort this out.",
    "Let's get you up in the air in no time!",
    "Honestly, delays are the worst and we're so sorry you got one.",
    "It's super easy, promise!",
    "Our crew's lovely, and they'll help you with anything at all.",
)


def from_answers(answers: Iterable[str]) -> list[Example]:
    """Rows from 1, each with a question of its own."""
    return [
        Example(line, (Message(Role.USER, f"Question {line}?"), Message(Role.ASSISTANT, answer)))
        for line, answer in enumerate(answers, start=1)
    ]


def brand(sentences: tuple[str, ...], count: int) -> list[str]:
    """Answers of two to four of the sentences, always the same."""
    numbers = random.Random(len(sentences) + count)
    return [" ".join(numbers.sample(sentences, numbers.randint(2, 4))) for _ in range(count)]


def varied(count: int) -> list[Example]:
    """Examples with nothing wrong: one voice, no two alike."""
    numbers = random.Random(count)
    letters = "bcdfghklmnprstvw"

    def name() -> str:
        return "".join(numbers.choice(letters) + numbers.choice("aeiou") for _ in range(8))

    return from_answers(
        f"The {name()} {name()} is near the {name()}, and {name()} is open." for _ in range(count)
    )
