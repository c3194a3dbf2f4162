"""Stop strings in streamed text."""

from __future__ import annotations

import pytest

from serving.stops import StopFilter, begun


def shown(stops: list[str], *texts: str) -> list[str]:
    stop = StopFilter(stops)
    return [*(stop.feed(text) for text in texts), stop.finish()]


def test_stop_string_split_over_pieces_is_never_shown() -> None:
    assert shown(["END"], "one E", "N", "D two", "three") == ["one ", "", "", "", ""]


def test_what_only_looked_like_a_stop_string_is_shown_later() -> None:
    assert shown(["END"], "one EN", "OUGH", " E") == ["one ", "ENOUGH", " ", "E"]


def test_earliest_of_several_stop_strings_counts() -> None:
    assert shown(["four", "two"], "one two three four") == ["one ", ""]


def test_no_stop_string_holds_nothing_back() -> None:
    assert shown([], "one", " two") == ["one", " two", ""]


@pytest.mark.parametrize(
    ("text", "length"), [("x", 0), ("a<", 1), ("a</thin", 6), ("</think>", 0), ("", 0)]
)
def test_begun_is_the_longest_end_that_a_mark_begins_with(text: str, length: int) -> None:
    assert begun(text, ["</think>"]) == length
