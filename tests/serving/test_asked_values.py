"""Which kind of value a question asks for, and which texts state one."""

from __future__ import annotations

import pytest

from serving.asked_values import ValueKind, asked_kinds, states_one_of

MONEY, MOMENT, WEIGHT = ValueKind.MONEY, ValueKind.MOMENT, ValueKind.WEIGHT
SIZE, COUNT = ValueKind.SIZE, ValueKind.COUNT


@pytest.mark.parametrize(
    ("question", "kinds"),
    [
        ("What does a second suitcase cost?", {MONEY}),
        ("How much do I pay, and by when?", {MONEY, MOMENT}),
        ("How much time do I have to change trains?", {MOMENT}),
        ("How long does a refund take?", {MOMENT}),
        ("When does the counter close?", {MOMENT}),
        ("How heavy may a trunk be?", {WEIGHT}),
        ("How big may my bag be?", {SIZE}),
        ("How many bags may I bring?", {COUNT}),
        ("How many days is a voucher valid?", {MOMENT}),
        ("May I bring my parrot when I fly?", set()),
        ("", set()),
    ],
)
def test_asked_kinds_follow_the_question(question: str, kinds: set[ValueKind]) -> None:
    assert asked_kinds(question) == kinds


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (MONEY, "It costs €60."),
        (MONEY, "We return 30% of it."),
        (MONEY, "A pushchair flies free."),
        (MOMENT, "Within three working days."),
        (MOMENT, "Open until 18:30."),
        (MOMENT, "From 1 December on."),
        (MOMENT, "Closed on Sundays."),
        (WEIGHT, "At most 23 kg."),
        (SIZE, "Bottles of 100 ml."),
        (SIZE, "A box of 40 × 30 cm."),
        (COUNT, "Two bags."),
    ],
)
def test_value_is_seen_in_its_text(kind: ValueKind, text: str) -> None:
    assert states_one_of(frozenset({kind}), text)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (MONEY, "A fee is due."),
        (MOMENT, "As soon as we can."),
        (WEIGHT, "It must not be heavy, see page 4."),
        (SIZE, "Larger boxes go by ship, 3 a day."),
        (COUNT, "Several bags."),
    ],
)
def test_text_about_the_subject_states_no_value(kind: ValueKind, text: str) -> None:
    assert not states_one_of(frozenset({kind}), text)


def test_question_without_a_kind_finds_a_value_nowhere() -> None:
    assert not states_one_of(frozenset(), "It costs €60, 23 kg, until 18:30.")
