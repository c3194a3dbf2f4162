"""Tokens one by one -> text that never ends inside a character."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
LONGEST_CHARACTER = 4  # bytes in UTF-8, and so tokens at most


class Detokenizer:
    """Decodes a few tokens at a time, each with those before it: what joins words depends on them.

    `hidden` tokens, such as the end of a turn, are no text.
    """

    def __init__(
        self, decode: Callable[[Sequence[int]], str], *, hidden: Collection[int] = ()
    ) -> None:
        self._decode = decode
        self._hidden = hidden
        self._before: list[int] = []  # shown already; their text precedes the new one
        self._new: list[int] = []

    def feed(self, token: int) -> str:
        """The text that the token completes; empty inside a character."""
        if token in self._hidden:
            return ""
        self._new.append(token)
        text = self._text()
        if text.endswith(REPLACEMENT) and len(self._new) <= LONGEST_CHARACTER:
            return ""
        self._before, self._new = self._new, []
        return text

    def finish(self) -> str:
        """What is left, without the beginning of a character that was never completed."""
        text, self._new = self._text(), []
        return text.rstrip(REPLACEMENT)

    def _text(self) -> str:
        if not self._new:
            return ""
        known = self._decode(self._before) if self._before else ""
        return self._decode([*self._before, *self._new])[len(known) :]
