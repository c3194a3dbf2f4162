"""What text written without documents may not state."""

from __future__ import annotations

import json

import pytest

from serving.unlooked_up import unlooked_up
from starter import bundle


@pytest.mark.parametrize(
    "text",
    [
        "A cabin place costs €65.",
        "It costs sixty-five euros.",
        "You get 15% off.",
        "Write to us within 21 days.",
        "The rule changed on 1 October.",
        "The desk opens at 05:30.",
        "Your suitcase may weigh 23 kg.",
        "Students get it until they turn thirty-two years old.",
        "Use form MZ-17 for that.",
        "It earns 1,200.",
        "Seniors save on Tuesdays.",
        "You can cancel free of charge.",
        "You are entitled to a hotel room.",
        "Passengers may bring two bags.",
        "We will refund your ticket.",
        "Light fares are not refundable.",
        "Change your booking with no fee!",
        "Dogs are allowed on board.",
        "Call +44 20 7946 0958.",
        "See www.meridian.example/pets.",
    ],
)
def test_fact_or_entitlement_from_the_weights_is_named(text: str) -> None:
    assert unlooked_up(text, ["Tell me about flying with you."]) is not None


@pytest.mark.parametrize(
    "text",
    [
        "Good morning, and welcome on board.",
        "Three little clouds set out to see the sea.",
        "I'm sorry that you had to wait.",
        "An adviser can act on your booking, and I shall bring you to one.",
        "You can ask me about refunds, fees and bags.",
        "Would you like to know what your bag may weigh?",
        "You are free to tell everyone.",
        "Take a minute, breathe, and look out of the window.",
        "Tell me your booking, and I will look up whether a refund is possible.",
    ],
)
def test_free_text_is_let_through(text: str) -> None:
    assert unlooked_up(text, ["Write something."]) is None


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("Make it warmer: You owe us €40 by 5 May.", "Kindly send 40 euros by May 5th."),
        ("Nicer, please: 'You can cancel free of charge.'", "You can cancel free of charge!"),
    ],
)
def test_what_the_user_said_may_be_repeated(said: str, text: str) -> None:
    assert unlooked_up(text, [said]) is None


def test_other_amount_than_the_users_is_named() -> None:
    assert unlooked_up("That makes €50.", ["I paid €5."]) == "€50"


@pytest.mark.parametrize("name", ["meridian", "skylark"])
def test_written_voices_are_hardly_ever_stopped(name: str) -> None:
    lines = (bundle.FOLDER / "voices" / f"{name}.validation.jsonl").read_text("utf-8").splitlines()
    examples = [[m["content"] for m in json.loads(line)["messages"]] for line in lines]
    free = [contents for contents in examples if "<passage" not in contents[0]]
    stopped = [contents[-1] for contents in free if unlooked_up(contents[-1], contents[:-1])]

    assert len(free) > 30
    assert len(stopped) <= 0.03 * len(free)
