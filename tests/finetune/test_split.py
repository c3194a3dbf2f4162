"""Training and validation examples."""

from __future__ import annotations

import pytest

from finetune.errors import ExamplesError
from finetune.examples import Example, Message, Role
from finetune.split import split


def examples(*questions: str) -> list[Example]:
    return [
        Example(line, (Message(Role.USER, text), Message(Role.ASSISTANT, f"Answer {line}")))
        for line, text in enumerate(questions, start=1)
    ]


def test_split_keeps_every_example_on_one_side() -> None:
    rows = examples(*(f"Question {number}" for number in range(500)))
    training, validation = split(rows, validation_rate=0.1, seed=1)

    assert sorted([*training, *validation], key=lambda each: each.line) == rows
    assert 30 <= len(validation) <= 70


def test_equal_prompts_fall_on_the_same_side() -> None:
    rows = examples(*(f"Question {number % 50}" for number in range(500)))
    training, validation = split(rows, validation_rate=0.2, seed=1)
    asked = [{each.messages[0].content for each in side} for side in (training, validation)]

    assert not asked[0] & asked[1]


def test_examples_added_later_move_nothing() -> None:
    rows = examples(*(f"Question {number}" for number in range(200)))
    few, many = (split(part, validation_rate=0.2, seed=3)[1] for part in (rows[:100], rows))

    assert few == [each for each in many if each.line <= 100]


def test_seed_decides() -> None:
    rows = examples(*(f"Question {number}" for number in range(200)))

    assert (
        split(rows, validation_rate=0.2, seed=1)[1] != split(rows, validation_rate=0.2, seed=2)[1]
    )


def test_too_few_prompts_for_both_sides_are_refused() -> None:
    with pytest.raises(ExamplesError, match="name a validation file"):
        split(examples("same", "same"), validation_rate=0.5, seed=1)
