"""Tokens -> text: bytes stand for tokens, and a word's first token carries its space."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from serving.detokenizing import Detokenizer


def of_bytes(tokens: Sequence[int]) -> str:
    return bytes(tokens).decode("utf-8", errors="replace")


def of_words(tokens: Sequence[int]) -> str:
    """As SentencePiece does: no space before the first word."""
    return " ".join(("one", "two", "three")[token] for token in tokens)


def test_text_comes_token_by_token() -> None:
    characters = Detokenizer(of_bytes)

    assert [characters.feed(token) for token in b"abc"] == ["a", "b", "c"]


@pytest.mark.parametrize("text", ["Straße", "10 €", "東京 🙂!"])
def test_no_piece_holds_half_a_character(text: str) -> None:
    characters = Detokenizer(of_bytes)
    pieces = [characters.feed(token) for token in text.encode()]

    assert "".join(pieces) + characters.finish() == text
    assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces)


def test_space_before_a_word_that_is_not_the_first_is_kept() -> None:
    characters = Detokenizer(of_words)

    assert [characters.feed(token) for token in (0, 1, 2)] == ["one", " two", " three"]


def test_hidden_tokens_are_no_text() -> None:
    characters = Detokenizer(of_bytes, hidden={0})

    assert "".join(characters.feed(token) for token in b"a\0b") == "ab"


def test_character_that_is_never_completed_is_left_out() -> None:
    characters = Detokenizer(of_bytes)
    pieces = [characters.feed(token) for token in "a🙂".encode()[:-1]]

    assert "".join(pieces) + characters.finish() == "a"


def test_bytes_that_are_no_text_do_not_hold_back_what_follows() -> None:
    characters = Detokenizer(of_bytes)
    pieces = [characters.feed(token) for token in b"\xff" * 9 + b"ab"]

    assert "".join(pieces).endswith("ab")
