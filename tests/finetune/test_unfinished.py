from __future__ import annotations

import pytest

from finetune.problems import Kind
from finetune.unfinished import unfinished_problems
from tests.finetune.answer_sets import from_answers, varied


@pytest.mark.parametrize("answer", ["...", "N/A", "-", "TODO", "[Your answer here]", "none."])
def test_answer_without_content_is_empty(answer: str) -> None:
    (problem,) = unfinished_problems(from_answers(["Of course.", answer]))
    assert problem.kind is Kind.EMPTY
    assert [finding.line for finding in problem.findings] == [2]
    assert repr(answer) in problem.findings[0].detail


@pytest.mark.parametrize("answer", ["No.", "🎉", "42", "None of them is."])
def test_answer_that_is_short_is_not_empty(answer: str) -> None:
    assert unfinished_problems(from_answers(["Of course.", answer])) == []


def test_answer_that_stops_where_nearly_all_others_end_is_cut() -> None:
    answers = ["All is well."] * 19 + ["We will look for your bag and"]
    (problem,) = unfinished_problems(from_answers(answers))
    assert problem.kind is Kind.TRUNCATED
    assert [(each.line, each.detail) for each in problem.findings] == [
        (20, "ends “…We will look for your bag and”")
    ]


def test_answers_without_end_marks_by_habit_are_not_cut() -> None:
    answers = ["see you there", "all is well", "no worries at all", "we will look"]
    assert unfinished_problems(from_answers(answers)) == []


def test_answers_that_stop_at_the_same_greatest_length_are_cut() -> None:
    long = [answer.answer for answer in varied(8)]
    answers = [text[:60] for text in long[:4]] + ["All is well."] * 4
    (problem,) = unfinished_problems(from_answers(answers))
    assert [each.line for each in problem.findings] == [1, 2, 3, 4]


def test_answers_that_stop_after_the_same_number_of_words_are_cut() -> None:
    answers = ["one two three four", "a b c d", "and so it goes", "Fine.", "Yes it is."]
    (problem,) = unfinished_problems(from_answers(answers))
    assert [each.line for each in problem.findings] == [1, 2, 3]
