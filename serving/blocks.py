"""A stream of text -> blocks that are released as a whole: sentences, lists, tables, code.

A sentence takes the markers behind its full stop with it. A list or a table goes with the line
that announces it, since neither says anything alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:e\.g|i\.e|etc|nos?|approx|incl|max|min|vs|mr|mrs|ms|dr|st|[A-Za-z])\.$",
    re.IGNORECASE,
)
_ANSWER_WORD = re.compile(
    r"\s*(?:yes|no|sure|of course|certainly|absolutely|exactly|indeed|correct|right"
    r"|\w+, yes)[.!,]*",
    re.IGNORECASE,
)
# A full stop, its closing quotes, its markers; then something that begins anew.
_SENTENCE = re.compile(
    r"[.!?…]+[\"'”’)*_]*(?:\s*\[\d{1,3}\])*(?=\s+(?!\s|\[(?:\d{0,3}\Z|\d{1,3}\]))\S)"
    r"|\n(?=\s*\S)"
)
_STRUCTURED = re.compile(r"[ \t]*(?:[-*+•]\s|\d{1,2}[.)]\s|\|)")
_MARKERS_LINE = re.compile(r"(?:\[\d{1,3}\][ \t]*)+\n")  # below a table, for all of it
_UNFINISHED_MARKERS = re.compile(r"(?:\[\d{1,3}\][ \t]*)*(?:\[\d{0,3})?")
_FENCE = re.compile(r"[ \t]*(?:```|~~~)")


class Blocks:
    """Collects pieces; gives back the blocks that are complete, which together are the text."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> Iterator[str]:
        """The blocks that this piece completes."""
        self._held += piece
        while (end := _first_block(self._held)) is not None:
            block, self._held = self._held[:end], self._held[end:]
            yield block

    def finish(self) -> Iterator[str]:
        """What is left, when nothing more will come."""
        yield from self.feed("\n\n\0")
        rest, self._held = self._held.removesuffix("\0"), ""
        rest = rest.removesuffix("\n\n")
        if rest:
            yield rest


def _first_block(text: str) -> int | None:
    """Where the first complete block ends; None while it may still go on."""
    start = len(text) - len(text.lstrip())
    if start == len(text):
        return None
    if _FENCE.match(text, _line_start(text, start)):
        return _after_fence(text, start)
    if _STRUCTURED.match(text, _line_start(text, start)):
        return _after_lines(text, start)
    position = start
    while (found := _SENTENCE.search(text, position)) is not None:
        end = found.end() if found[0] != "\n" else found.start()
        sentence = text[start:end].rstrip()
        if (found[0] == "\n" and sentence.endswith(":")) or _leads_on(text, found, sentence):
            return _announced(text, found.end())
        position = found.end()
        if not _ABBREVIATION.search(sentence) and not _ANSWER_WORD.fullmatch(sentence):
            return end
    return None


def _line_start(text: str, position: int) -> int:
    return text.rfind("\n", 0, position) + 1


def _leads_on(text: str, found: re.Match[str], sentence: str) -> bool:
    """Whether a list or table follows the line at once."""
    if found[0] != "\n" or not sentence or _STRUCTURED.match(sentence):
        return False
    following = text[found.end() :].lstrip("\n")
    return len(following) < 3 or bool(_STRUCTURED.match(following))


def _announced(text: str, position: int) -> int | None:
    """The end of what a line with a colon announces."""
    while position < len(text) and text[position] == "\n":
        position += 1
    following = text[position:]
    if len(following.strip()) < 3:
        return None
    if _STRUCTURED.match(following):
        return _after_lines(text, position)
    return position - (len(text[:position]) - len(text[:position].rstrip("\n")))


def _after_lines(text: str, position: int) -> int | None:
    """The end of the run of list items or table rows, with their wrapped lines."""
    for line in re.finditer(r"\n+", text[position:]):
        end = position + line.start()
        following = text[position + line.end() :]
        if not following.strip() or (len(following.strip()) < 3 and "\0" not in following):
            return None
        if _UNFINISHED_MARKERS.fullmatch(following):
            return None
        wrapped = len(line[0]) == 1 and following.startswith((" ", "\t"))
        wrapped = wrapped or _MARKERS_LINE.match(following) is not None
        if not _STRUCTURED.match(following) and not wrapped:
            return end
    return None


def _after_fence(text: str, position: int) -> int | None:
    closing = re.compile(r"\n[ \t]*(?:```|~~~)[^\n]*(?=\n)").search(text, position)
    return closing.end() if closing else None
