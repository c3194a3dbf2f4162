"""The six questions in order, each of which may decide."""

from __future__ import annotations

import pytest

from router.quick import (
    QUESTIONS,
    Advice,
    MissingAnswerError,
    QuickQuestion,
    decide_quickly,
    fast,
    few_examples,
    from_answers,
)
from router.values import ValueFormatError

NAMES = [question.name for question in QUESTIONS]


def answers(pattern: str) -> dict[str, bool]:
    """`nny` is no, no, yes; a dot is no answer."""
    return {
        name: letter == "y" for name, letter in zip(NAMES, pattern, strict=False) if letter != "."
    }


@pytest.mark.parametrize(
    ("pattern", "advice", "decided_by"),
    [
        ("y", Advice.RAG, 1),
        ("ny", Advice.RAG, 2),
        ("nnyn", Advice.LORA, 3),
        ("nnyy", Advice.FEW_SHOT, 4),
        ("nnny", Advice.FEW_SHOT, 4),
        ("nnnny", Advice.FINE_TUNE, 5),
        ("nnnnny", Advice.RAG, 6),
        ("nnnnnn", Advice.RAG, 6),
    ],
)
def test_first_question_that_decides_gives_the_advice(
    pattern: str, advice: Advice, decided_by: int
) -> None:
    asked: list[str] = []
    known = from_answers(answers(pattern))

    def ask(question: QuickQuestion) -> bool:
        asked.append(question.name)
        return known(question)

    result = decide_quickly(ask)

    assert (result.advice, result.decided_by) == (advice, decided_by)
    assert asked == NAMES[: len(pattern)]
    assert result.because


@pytest.mark.parametrize("pattern", ["y.y", "nyy"])
def test_rag_for_a_case_with_style_says_what_analyze_would_add(pattern: str) -> None:
    given = answers(pattern)
    result = decide_quickly(from_answers(given), style_given=given["needs-style"])
    assert result.advice is Advice.RAG
    assert result.note is not None
    assert "RAG now" in result.note
    assert "analyze" in result.note


def test_rag_for_a_case_without_style_adds_nothing() -> None:
    assert decide_quickly(from_answers(answers("y.n")), style_given=False).note is None


@pytest.mark.parametrize(
    ("pattern", "missing"),
    [("", 0), ("n", 1), ("nn", 2), ("nny", 3), ("nnn", 3), ("nnnn", 4), ("nnnnn", 5)],
)
def test_missing_answer_is_named_when_it_is_reached(pattern: str, missing: int) -> None:
    with pytest.raises(MissingAnswerError) as caught:
        decide_quickly(from_answers(answers(pattern)))
    assert caught.value.name == NAMES[missing]


@pytest.mark.parametrize(
    ("text", "few"), [("99", True), ("100", False), ("1k examples", False), ("y", True)]
)
def test_few_examples_may_be_said_as_a_number(text: str, few: bool) -> None:
    assert few_examples(text) is few


@pytest.mark.parametrize(
    ("text", "quick"), [("99ms", True), ("100ms", False), ("under 100 ms", True), ("no", False)]
)
def test_limit_may_be_said_as_a_time(text: str, quick: bool) -> None:
    assert fast(text) is quick


def test_nought_that_may_be_no_or_a_number_is_refused() -> None:
    with pytest.raises(ValueFormatError, match="may be no or a number"):
        few_examples("0")
    assert few_examples("0 examples") is True


@pytest.mark.parametrize(("read", "text"), [(few_examples, "lots"), (fast, "soon")])
def test_what_is_neither_is_refused_with_both(read: object, text: str) -> None:
    assert callable(read)
    with pytest.raises(ValueFormatError, match=r"yes or no, .*, or a"):
        read(text)
