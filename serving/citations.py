"""Markers in an answer -> citations: which passage, and which of its words.

A marker is a passage's number in square brackets. Only markers that point at a passage of the
prompt survive, and at most `limit` passages are cited; the others are cut from the text before
anybody sees them. The reader's numbers count the cited passages in the order of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from retrieval.documents import ScoredPassage
from retrieval.words import content_words
from serving.answers import Citation
from serving.sentences import Unit, units

_MARKER = re.compile(r"[ \t]?\[(\d{1,3})\]")
_UNFINISHED = re.compile(r"[ \t]?(\[\d{0,3})?$")
_SENTENCE_END = re.compile(r"[.!?”\"\n]\s*(?=\S)")


@dataclass(frozen=True, slots=True)
class Marker:
    """A surviving marker, by its place in the released text.

    `number` is what the text shows, `passage` the place in the prompt; both count from 1.
    """

    number: int
    passage: int
    start: int
    end: int


class MarkerFilter:
    """Takes text piece by piece, gives back what may be shown, and keeps count of the markers."""

    def __init__(self, passages: int, *, limit: int, after: str = "") -> None:
        """`after` is text that was released before; places count from its start."""
        self._passages = passages
        self._limit = limit
        self._held = ""
        self.text = after
        self.markers: list[Marker] = []

    def feed(self, piece: str) -> str:
        """What can be released now; the start of a possible marker is held back."""
        self._held += piece
        cut = _UNFINISHED.search(self._held)
        ready, self._held = (
            self._held[: cut.start()] if cut else self._held,
            (self._held[cut.start() :] if cut else ""),
        )
        return self._release(ready)

    def literal(self, piece: str) -> str:
        """Text that is shown as it is, such as a quotation: its brackets are its own."""
        released = self.finish() + piece
        self.text += piece
        return released

    def exceeds(self, block: str) -> bool:
        """Whether all that the block cites lies beyond the limit."""
        cited = [number for number in markers_in(block) if 1 <= number <= self._passages]
        known = {marker.passage for marker in self.markers}
        return bool(cited) and len(known) >= self._limit and not known & set(cited)

    def finish(self) -> str:
        """What was held back, when nothing more will come."""
        ready, self._held = self._held, ""
        return self._release(ready)

    def _release(self, ready: str) -> str:
        released = "".join(self._checked(ready))
        self.text += released
        return released

    def _checked(self, ready: str) -> Iterator[str]:
        written = len(self.text)
        position = 0
        for match in _MARKER.finditer(ready):
            before = ready[position : match.start()]
            position = match.end()
            written += len(before)
            yield before
            passage = int(match.group(1))
            numbers = {marker.passage: marker.number for marker in self.markers}
            number = numbers.get(passage, len(numbers) + 1)
            if 1 <= passage <= self._passages and number <= self._limit:
                space, _, _ = match.group(0).partition("[")
                shown = f"{space}[{number}]"
                start, written = written + len(space), written + len(shown)
                self.markers.append(Marker(number, passage, start, written))
                yield shown
        yield ready[position:]


def markers_in(text: str) -> list[int]:
    """The numbers of the markers as a generator wrote them, in order; valid or not."""
    return [int(match.group(1)) for match in _MARKER.finditer(text)]


def without_markers(text: str) -> str:
    """The text as a reader without sources would have it."""
    return _MARKER.sub("", text)


def cite(
    text: str, markers: Sequence[Marker], passages: Sequence[ScoredPassage]
) -> tuple[Citation, ...]:
    """One citation a marker, each with the words of its passage that the sentence rests on."""
    citations = []
    for marker in markers:
        hit = passages[marker.passage - 1]
        unit = _quoted(_claim(text, marker), hit)
        citations.append(
            Citation(
                marker=marker.number,
                marker_start=marker.start,
                marker_end=marker.end,
                hit=hit,
                quote=hit.passage.text[unit.start : unit.end],
                start=hit.passage.start + unit.start,
                end=hit.passage.start + unit.end,
            )
        )
    return tuple(citations)


def _claim(text: str, marker: Marker) -> str:
    """The sentence that the marker closes."""
    before = text[: marker.start].rstrip()
    opening = before.rfind("“")
    if before.endswith("”") and opening >= 0:
        return before[opening + 1 : -1]
    before = without_markers(before).rstrip()
    ends = [match.end() for match in _SENTENCE_END.finditer(before)]
    return before[ends[-1] :] if ends else before


def _quoted(claim: str, hit: ScoredPassage) -> Unit:
    """The unit that holds the claim's words: literally if it is a quotation, else the most."""
    candidates = units(hit.passage.text, table_header=hit.passage.table_header)
    if not candidates:
        return Unit(hit.passage.text, 0, len(hit.passage.text))
    literal = [unit for unit in candidates if unit.text in claim]
    if literal:
        return max(literal, key=lambda unit: len(unit.text))
    words = content_words(claim)
    return max(candidates, key=lambda unit: (len(words & content_words(unit.text)), -unit.start))
