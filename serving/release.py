"""What of an answer has been shown, and what is known of how it came about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from serving.answers import Stage, Usage
from serving.citations import Marker, MarkerFilter
from serving.clock import Clock


@dataclass(slots=True)
class Written:
    """What was released; `text` includes what was shown before.

    `stopped`: it was about to state what has to be looked up; that and all behind it is held back.
    `unsupported` counts the blocks that were held back.
    """

    text: str = ""
    markers: list[Marker] = field(default_factory=list)
    usage: Usage = field(default_factory=lambda: Usage(0, 0))
    truncated: bool = False
    refused: bool = False
    extractive: bool = False
    stopped: bool = False
    unsupported: int = 0
    stage: Stage = Stage.MODEL
    generator: str | None = None
    adapter: str | None = None
    degraded: tuple[str, ...] = ()

    def spend(self, usage: Usage) -> None:
        """Add the tokens of one more generation."""
        self.usage = Usage(
            self.usage.prompt_tokens + usage.prompt_tokens,
            self.usage.completion_tokens + usage.completion_tokens,
        )

    def lacks(self, part: str) -> None:
        """Note a part that failed or is missing, once."""
        if part not in self.degraded:
            self.degraded = (*self.degraded, part)


class Release:
    """Text on its way to the reader: markers filtered, the first of it timed."""

    def __init__(self, markers: MarkerFilter, clock: Clock) -> None:
        self.markers = markers
        self.began = False
        self.clock = clock
        self._separates = bool(markers.text)

    def show(self, text: str, *, literal: bool = False) -> Iterator[str]:
        """What of the text can be shown now; the first of it apart from what stands before."""
        if text and self._separates:
            self._separates = False
            yield self.markers.literal("\n\n")
        shown = self.markers.literal(text) if literal else self.markers.feed(text)
        if shown:
            self.clock.mark("first_text")
            self.began = True
            yield shown

    def finish(self) -> Iterator[str]:
        """What the filter held back; what comes next stands apart."""
        rest = self.markers.finish()
        if rest:
            self.began = True
            yield rest
        self._separates = bool(self.markers.text)
