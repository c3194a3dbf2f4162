"""The six answers together: every problem at once, and what stays of the words."""

from __future__ import annotations

import math

import pytest

from finetune import verdict
from router import use_case as bounds
from router.errors import UseCaseError
from router.use_case import Level, Readiness, read_use_case
from tests.router.use_cases import PUBLISHED, use_case


def test_published_answers_are_read() -> None:
    case = use_case()
    assert case.knowledge_changes.words == "weekly"
    assert case.needs_citations is True
    assert case.style_requirements is Level.HIGH
    assert (case.training_data, case.monthly_queries) == (200, 100_000)
    assert case.latency.time_ms == 2000


def test_every_answer_that_is_not_understood_is_named_at_once() -> None:
    with pytest.raises(UseCaseError) as caught:
        read_use_case({"knowledge_changes": "now and then", "needs_citations": "perhaps"})
    assert list(caught.value.problems) == list(PUBLISHED)
    assert "write daily" in caught.value.problems["knowledge_changes"]
    assert "missing; there is no default" in caught.value.problems["training_data"]


def test_style_of_no_level_is_refused_with_the_levels() -> None:
    with pytest.raises(UseCaseError, match="'extreme' is no level; write low, medium, high"):
        use_case(style_requirements="extreme")


def test_style_of_a_whole_page_is_refused_without_repeating_it() -> None:
    with pytest.raises(UseCaseError, match="5000 characters are too many") as caught:
        use_case(style_requirements="x" * 5000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(("word", "level"), [("none", "low"), ("Moderate", "medium")])
def test_style_in_other_words_is_understood(word: str, level: str) -> None:
    assert use_case(style_requirements=word).style_requirements == level


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("Every  Two Weeks.", "every two weeks"),
        ("static", "never"),
        ("live", "constantly"),
        ("two weeks", "every two weeks"),
        ("a day", "every day"),
    ],
)
def test_change_keeps_the_words_it_was_given_in(given: str, words: str) -> None:
    assert use_case(knowledge_changes=given).knowledge_changes.words == words


def test_readiness_report_counts_instead_of_a_number() -> None:
    answers = {name: word for name, word in PUBLISHED.items() if name != "training_data"}
    case = read_use_case(answers, readiness=Readiness("train.jsonl", rows=120, usable=99))
    assert case.training_data == 99
    assert not case.enough_examples


def test_record_holds_no_infinity() -> None:
    record = use_case(knowledge_changes="never", latency_requirement="none").record()
    assert (record["change_days"], record["latency_ms"]) == (None, None)
    assert math.isfinite(use_case().record()["latency_ms"])


def test_numbers_of_examples_are_judged_as_before_training() -> None:
    assert (bounds.LORA_FROM, bounds.GOOD_FROM, bounds.FULL_ABOVE) == (
        verdict.POSSIBLE_FROM,
        verdict.GOOD_FROM,
        verdict.FULL_ABOVE,
    )
