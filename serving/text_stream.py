"""Tokens of an answer -> the text that may be shown of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from serving.detokenizing import Detokenizer
from serving.stops import StopFilter
from serving.thinking import ThinkingFilter


class TextStream:
    """Whole characters, without reasoning, up to the first stop string."""

    def __init__(
        self,
        decode: Callable[[Sequence[int]], str],
        *,
        hidden: Collection[int],
        thinking: bool,
        stops: Sequence[str],
    ) -> None:
        self._characters = Detokenizer(decode, hidden=hidden)
        self._answer = ThinkingFilter(thinking=thinking)
        self._stop = StopFilter(stops)

    @property
    def stopped(self) -> bool:
        """Whether a stop string came."""
        return self._stop.stopped

    def feed(self, token: int) -> str:
        """What the token lets be shown."""
        return self._stop.feed(self._answer.feed(self._characters.feed(token)))

    def finish(self) -> str:
        """What was held back to the end."""
        rest = self._answer.feed(self._characters.finish()) + self._answer.finish()
        return self._stop.feed(rest) + self._stop.finish()
