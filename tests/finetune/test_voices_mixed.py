from __future__ import annotations

import pytest

from finetune.problems import Kind
from finetune.voices_mixed import FEWEST_ANSWERS, voice_problems
from tests.finetune.answer_sets import CALM, PLAYFUL, brand, from_answers, varied


@pytest.mark.parametrize("count", [12, 30, 60])
def test_voices_of_two_brands_in_one_set_name_the_rows_of_the_smaller(count: int) -> None:
    answers = brand(PLAYFUL, count) + brand(CALM, 120 - count)
    (problem,) = voice_problems(from_answers(answers))
    assert problem.kind is Kind.MIXED_VOICES
    named = {finding.line for finding in problem.findings}
    playful = set(range(1, count + 1))
    smaller = playful if len(named & playful) > len(named) / 2 else set(range(count + 1, 121))
    assert len(named ^ smaller) <= 2
    assert "contractions" in problem.summary


@pytest.mark.parametrize("sentences", [CALM, PLAYFUL])
def test_voices_of_one_brand_are_one(sentences: tuple[str, ...]) -> None:
    assert voice_problems(from_answers(brand(sentences, 120))) == []


def test_voices_of_answers_that_differ_in_words_alone_are_one() -> None:
    assert voice_problems(varied(100)) == []


def test_voices_of_the_same_answer_are_one() -> None:
    assert voice_problems(from_answers(["Yes."] * FEWEST_ANSWERS)) == []


def test_voices_of_a_few_odd_answers_are_one() -> None:
    assert voice_problems(from_answers(brand(PLAYFUL, 4) + brand(CALM, 116))) == []


def test_voices_of_few_answers_are_not_judged() -> None:
    half = (FEWEST_ANSWERS - 2) // 2
    assert voice_problems(from_answers(brand(PLAYFUL, half) + brand(CALM, half))) == []
