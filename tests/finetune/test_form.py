from __future__ import annotations

import pytest

from finetune.form import Habit, form_problems, habits_of
from finetune.problems import Kind
from tests.finetune.answer_sets import from_answers


def habit(name: str, answers: list[str]) -> Habit:
    (found,) = [each for each in habits_of(from_answers(answers)) if each.name == name]
    return found


@pytest.mark.parametrize(
    ("name", "usual", "other", "majority", "departure"),
    [
        ("starting case", "It is.", "it is.", "upper case", "lower case"),
        ("final punctuation", "It is.", "It is", "an end mark", "no end mark"),
        ("bullets", "- socks\n- hats", "* socks\n* hats", "`-`", "`*`"),
        ("bullets", "- socks\n- hats", "- socks\n• hats", "`-`", "`-` and `•`"),
        ("numbering", "1. Book.\n2. Fly.", "1) Book.\n2) Fly.", "`1.`", "`1)`"),
        ("greeting", "It is.", "Hi there! It is.", "no greeting", "a greeting"),
        ("greeting", "Dear Ms Lee,\n\nit is.", "It is.", "a greeting", "no greeting"),
        ("sign-off", "It is.\n\nKind regards,\nThe crew", "It is.", "a sign-off", "no sign-off"),
        ("sign-off", "It is. Happy flying!", "It is.", "a sign-off", "no sign-off"),
        ("contractions", "We're open.", "We are open.", "contracted", "written out"),
        ("contractions", "You cannot.", "You can’t.", "written out", "contracted"),
        ("exclamation marks", "It is!", "It is.", "exclamation marks", "no exclamation mark"),
        ("emoji", "It is.", "It is 🎉", "no emoji", "emoji"),
        ("length", "It is so.", "Ah " * 13, "about 3 words", "far longer than usual"),
    ],
)
def test_habit_of_three_answers_in_four_names_the_fourth(
    name: str, usual: str, other: str, majority: str, departure: str
) -> None:
    found = habit(name, [usual, usual, other, usual])
    assert (found.majority, found.majority_rate, found.judged) == (majority, 0.75, 4)
    assert [(each.line, each.detail) for each in found.departures] == [(3, departure)]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("starting case", "2 bags."),
        ("starting case", "你好。"),
        ("final punctuation", "Bring:\n- socks\n- hats"),
        ("final punctuation", "See https://meridian.example"),
        ("bullets", "- well, it is."),
        ("contractions", "Open daily."),
        ("contractions", "Yes, it is."),
    ],
)
def test_habit_without_occasion_is_not_judged(name: str, answer: str) -> None:
    assert name not in [each.name for each in habits_of(from_answers([answer]))]


def test_final_punctuation_before_a_sign_off_or_emoji_counts() -> None:
    answers = ["It is.\n\nKind regards,\nThe crew", "It is 🎉", "It is: “yes.”", "**It is.**"]
    assert habit("final punctuation", answers).majority_rate == 1


def test_citations_after_the_end_mark_do_not_count() -> None:
    answers = [
        "It is. It was. [1]",
        "So it is. So it was. [1]",
        "Yes. No. [1][2]",
        "Oh. Ah. [1, 2]",
    ]
    assert habit("final punctuation", answers).majority == "an end mark"
    assert habit("sign-off", answers).majority == "no sign-off"


def test_sign_off_is_a_sentence_that_many_answers_end_with() -> None:
    answers = [f"Number {n} it is. Clear skies ahead" for n in range(4)] + ["It is. It was."]
    found = habit("sign-off", answers)
    assert found.majority == "a sign-off"
    assert [each.line for each in found.departures] == [5]


def test_form_problems_above_the_tolerance_name_the_rows() -> None:
    habits = habits_of(from_answers(["It is."] * 97 + ["it is."] * 3))
    (problem,) = form_problems(habits)
    assert problem.kind is Kind.INCONSISTENT_FORM
    assert problem.summary == "starting case: upper case in 97% of 100 answers; 3 depart"
    assert [each.line for each in problem.findings] == [98, 99, 100]


def test_form_problems_within_the_tolerance_are_none() -> None:
    assert form_problems(habits_of(from_answers(["It is."] * 98 + ["it is."] * 2))) == []
