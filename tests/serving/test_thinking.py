"""Reasoning is kept out of the answer, however the text is cut into pieces."""

from __future__ import annotations

import pytest

from serving.thinking import ThinkingFilter, template_options


def answer(text: str, *, size: int = 1, thinking: bool = False) -> str:
    kept = ThinkingFilter(thinking=thinking)
    pieces = [text[place : place + size] for place in range(0, len(text), size)]
    return "".join(kept.feed(piece) for piece in pieces) + kept.finish()


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Plain text.", "Plain text."),
        ("<think>\n\n</think>\n\nAnswer.", "Answer."),
        ("<think>a < b </thin </think>  Answer.", "Answer."),
        ("One <think>why</think> two.", "One two."),
        ("<think>a</think><think>b</think>c", "c"),
        ("<think>never closed", ""),
        ("1 < 2 <thin", "1 < 2 <thin"),
        ("", ""),
    ],
)
def test_answer_is_what_stands_outside_the_blocks(text: str, expected: str, size: int) -> None:
    assert answer(text, size=size) == expected


def test_model_whose_prompt_opened_the_block_starts_inside_it() -> None:
    assert answer("why</think>\n\nAnswer.", thinking=True) == "Answer."


def test_text_that_cannot_be_a_tag_is_not_held_back() -> None:
    kept = ThinkingFilter()

    assert kept.feed("Answer. <") == "Answer. "
    assert kept.feed("b") == "<b"


def test_template_is_told_only_what_it_knows() -> None:
    assert template_options("{% if enable_thinking is false %}") == {"enable_thinking": False}
    assert template_options("{{ messages }}") == {}
    assert template_options(None) == {}
