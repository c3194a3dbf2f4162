"""A stream of text cut into what is released as a whole."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.blocks import Blocks


def cut(*pieces: str) -> list[str]:
    blocks = Blocks()
    found = [block for piece in pieces for block in blocks.feed(piece)]
    return [*found, *blocks.finish()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("At most 8 kg [1]. It is closed.", ["At most 8 kg [1].", " It is closed."]),
        ("It is €60. [1] [2] Then go.", ["It is €60. [1] [2]", " Then go."]),
        ("E.g. No. 5 is used. Done", ["E.g. No. 5 is used.", " Done"]),
        ("It costs €1.50. Mr. Moe paid.", ["It costs €1.50.", " Mr. Moe paid."]),
        ("Yes. It may fly [1]. Good.", ["Yes. It may fly [1].", " Good."]),
        ("Hello!\n\nHow are you?", ["Hello!", "\n\nHow are you?"]),
        ("One line\nand another.", ["One line", "\nand another."]),
        ("Fees:\n\n- A: 1 [1]\n- B: 2\n\nBye!", ["Fees:\n\n- A: 1 [1]\n- B: 2", "\n\nBye!"]),
        ("1. One [1].\n2. Two. Or so.\nEnd.", ["1. One [1].\n2. Two. Or so.", "\nEnd."]),
        ("| A |\n|---|\n| 1 |\n\nOh. Y", ["| A |\n|---|\n| 1 |", "\n\nOh.", " Y"]),
        ("| A |\n|---|\n| 1 |\n[1] [2]\nOh. Y", ["| A |\n|---|\n| 1 |\n[1] [2]", "\nOh.", " Y"]),
        ("```\na. B\n```\nEnd.", ["```\na. B\n```", "\nEnd."]),
        ("Fees:\nFive. Six", ["Fees:", "\nFive.", " Six"]),
        ("", []),
    ],
)
def test_text_is_cut_at_what_stands_alone(text: str, expected: list[str]) -> None:
    assert cut(text) == expected
    assert cut(*text) == expected


def test_sentence_is_given_back_as_soon_as_the_next_begins() -> None:
    blocks = Blocks()

    assert list(blocks.feed("It weighs 8 kg. [")) == []
    assert list(blocks.feed("1]")) == []
    assert list(blocks.feed(" It")) == ["It weighs 8 kg. [1]"]


@given(st.lists(st.text(alphabet="aB1. [1]\n-|:!`", max_size=8), max_size=10))
@settings(max_examples=300, deadline=None)
def test_nothing_is_lost_or_reordered(pieces: list[str]) -> None:
    assert "".join(cut(*pieces)) == "".join(pieces)
