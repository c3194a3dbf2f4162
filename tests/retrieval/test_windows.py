"""The part of a passage that a cross-encoder reads."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from retrieval.windows import best_window
from retrieval.words import content_words

TEXT = "Bags weigh 8 kg. Dogs fly in the hold.\nA cat needs a box. Boxes cost 9 euros, cats 5."


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def window(query: str, text: str = TEXT, *, tokens: int) -> str:
    words = content_words(query)
    return best_window(words, text, tokens=tokens, count_tokens=count_words)


def test_text_that_fits_is_read_whole() -> None:
    assert window("box", tokens=len(TEXT.split())) == TEXT


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("How heavy are bags?", "Bags weigh 8 kg. Dogs fly in the hold."),
        ("Where do dogs and cats fly?", "Dogs fly in the hold.\nA cat needs a box."),
        ("Is there a box for a cat?", "Dogs fly in the hold.\nA cat needs a box."),
        ("What does a box cost for cats?", "A cat needs a box. Boxes cost 9 euros, cats 5."),
    ],
)
def test_window_is_the_run_of_sentences_with_most_of_the_words(query: str, expected: str) -> None:
    assert window(query, tokens=11) == expected


def test_without_a_shared_word_the_beginning_is_read() -> None:
    assert window("Any surfboards?", tokens=5) == "Bags weigh 8 kg."


def test_sentence_longer_than_the_window_stands_alone() -> None:
    assert window("cats", tokens=3) == "A cat needs a box."  # the first of two


@pytest.mark.parametrize("text", ["", " ", "\n\n", "one"])
def test_text_without_sentences_is_its_own_window(text: str) -> None:
    assert window("one", text, tokens=1) == text
