"""Streamed text up to the first stop string."""

from __future__ import annotations

from collections.abc import Sequence


class StopFilter:
    """Holds back what could become a stop string; `stopped` once one came."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """What may be shown now. Nothing is, once a stop string came."""
        if self.stopped:
            return ""
        self._held += text
        found = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            return self._release(min(found))
        return self._release(len(self._held) - begun(self._held, self._stops))

    def finish(self) -> str:
        """What was held back and became no stop string after all."""
        return "" if self.stopped else self._release(len(self._held))

    def _release(self, length: int) -> str:
        shown, self._held = self._held[:length], self._held[length:]
        return shown


def begun(text: str, marks: Sequence[str]) -> int:
    """Length of the longest end of the text that one of the marks begins with.

    >>> begun("a <thi", ["<think>"])
    4
    """
    longest = max((len(mark) for mark in marks), default=1) - 1
    for length in range(min(longest, len(text)), 0, -1):
        if any(mark.startswith(text[-length:]) for mark in marks):
            return length
    return 0
