"""Which questions lean on the conversation, and what is searched for then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from serving.answers import Message
from serving.follow_up import leans, standalone_query
from starter import bundle

PAIRS = [
    json.loads(line)
    for line in (Path(__file__).parent / "follow_ups.jsonl").read_text("utf-8").splitlines()
]


def conversation(*asked: str) -> list[Message]:
    """The user's questions, each but the last with an answer."""
    turns = [
        turn
        for question in asked[:-1]
        for turn in (Message("user", question), Message("assistant", "It costs €88 [1]."))
    ]
    return [*turns, Message("user", asked[-1])]


def test_leaning_questions_are_told_by_their_words() -> None:
    # Those that lean by what they leave out, such as "How long do I have to decide?", are missed.
    assert sum(leans(pair["question"]) for pair in PAIRS) >= 0.85 * len(PAIRS)


def test_first_questions_stand_alone() -> None:
    assert [pair["earlier"] for pair in PAIRS if leans(pair["earlier"])] == []


def test_questions_of_the_development_half_stand_alone() -> None:
    leaning = [q.question for q in bundle.read_questions(split="dev") if leans(q.question)]

    assert leaning == []


@pytest.mark.parametrize(
    "question",
    [
        "And for children?",
        "What about long-haul?",
        "how much is it then?",
        "Does it have to be paid in advance?",
        "Why?",
        "Until when?",
        "ok and on Sundays?",
        "Can they sit with me?",
    ],
)
def test_leaning_question_is_put_behind_the_one_it_leans_on(question: str) -> None:
    asked = conversation("How much is the cabin place for my cat?", question)

    assert standalone_query(asked) == f"How much is the cabin place for my cat? {question}"


def test_chain_of_leaning_questions_reaches_back_to_the_subject() -> None:
    asked = conversation("What does my cat cost?", "And in the hold?", "And on long-haul?")

    assert standalone_query(asked) == "What does my cat cost? And in the hold? And on long-haul?"


@pytest.mark.parametrize(
    "question",
    [
        "How much whisky could I pack?",
        "My cat is old, may it fly in the cabin?",
        "Is there a lounge in Oslo?",
        "What can you do?",
        "thanks!",
        "Is it possible to pay by bank transfer?",
        "How many power banks may I take on board this winter?",
    ],
)
def test_question_of_its_own_is_not_changed(question: str) -> None:
    assert standalone_query(conversation("What does my dog cost?", question)) == question


def test_first_question_is_not_changed() -> None:
    assert standalone_query(conversation("And for children?")) == "And for children?"


def test_answers_and_system_messages_are_not_searched_for() -> None:
    asked = [Message("system", "Be brief."), *conversation("What does my cat cost?", "And a dog?")]

    assert standalone_query(asked) == "What does my cat cost? And a dog?"
