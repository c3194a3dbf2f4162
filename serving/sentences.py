"""A passage -> the units that can be quoted: sentences, list items and table rows, with spans."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_ABBREVIATIONS = (
    "e.g",
    "i.e",
    "etc",
    "no",
    "nos",
    "approx",
    "incl",
    "max",
    "min",
    "vs",
    "mr",
    "dr",
)
_BOUNDARY = re.compile(r"(?<=[.!?])[\"'”’)*_]*\s+(?=[\"'“‘(*_\[]*[A-Z0-9€£$`])")
_SEPARATOR_ROW = re.compile(r"^\s*\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?\s*$")
_LABEL = re.compile(r"(\*\*|__)(?:(?!\1).)+\1\s+")  # a bold lead-in with its own full stop
# A heading, a fence, an admonition's opening or end, an include: "/// note", ":::", "{* a.py *}"
_MARK_LINE = re.compile(r"\s*(?:#|```|///|:::|!!!|\{[*%])")
_LIST_MARK = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+")


@dataclass(frozen=True, slots=True)
class Unit:
    """Quotable text. `text` is what to show: for a table row, each cell behind its column's name.

    `passage.text[start:end]` is where it stands in the source.
    """

    text: str
    start: int
    end: int


def units(text: str, *, table_header: str = "") -> list[Unit]:
    """The quotable units of a passage, in order.

    Headings, separators, marks of blocks and what only announces a list or a table are left out.
    """
    found: list[Unit] = []
    header = _cells(table_header) if table_header else []
    paragraph: list[tuple[int, str]] = []
    offset = 0
    lines = text.split("\n")
    for number, line in enumerate(lines):
        is_row = line.lstrip().startswith("|")
        starts_item = bool(_LIST_MARK.match(line))
        is_mark = bool(_MARK_LINE.match(line))
        if is_row or starts_item or is_mark or not line.strip():
            found.extend(_sentences(paragraph))
            paragraph = []
        if is_row:
            below = lines[number + 1] if number + 1 < len(lines) else ""
            if _SEPARATOR_ROW.match(below):
                header = _cells(line)
            elif not _SEPARATOR_ROW.match(line):
                found.append(_row(line, offset, header))
        elif line.strip() and not is_mark:
            paragraph.append((offset, line))
        offset += len(line) + 1
    found.extend(_sentences(paragraph))
    return [unit for unit in found if re.search(r"\w", unit.text) and not unit.text.endswith(":")]


def _cells(row: str) -> list[str]:
    cells = re.split(r"(?<!\\)\|", row.strip().removeprefix("|").removesuffix("|"))
    return [plain(cell.replace("\\|", "|")) for cell in cells]


def _row(line: str, offset: int, header: list[str]) -> Unit:
    cells = _cells(line)
    named = [
        f"{name}: {cell}" if name else cell
        for name, cell in zip(header + [""] * len(cells), cells, strict=False)
        if cell
    ]
    start = offset + len(line) - len(line.lstrip())
    return Unit(" · ".join(named), start, offset + len(line.rstrip()))


def _sentences(lines: list[tuple[int, str]]) -> Iterator[Unit]:
    """Split a paragraph, given as (offset, line), keeping offsets across its line breaks."""
    if not lines:
        return
    base = lines[0][0]
    text = "\n".join(line for _, line in lines)
    mark = _LIST_MARK.match(text)
    start = mark.end() if mark else 0
    for boundary in _BOUNDARY.finditer(text, start):
        before = text[start : boundary.start()].rstrip(".").rsplit(None, 1)
        if before and before[-1].strip("(").lower() in _ABBREVIATIONS:
            continue
        if _LABEL.fullmatch(text, start, boundary.end()):
            continue  # it names what the next sentence says: alone it answers nothing
        yield _unit(text, start, boundary.start(), base)
        start = boundary.end()
    yield _unit(text, start, len(text), base)


def _unit(text: str, start: int, end: int, base: int) -> Unit:
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    end -= len(piece) - len(piece.rstrip())
    return Unit(plain(text[start:end]), base + start, base + end)


def plain(markdown: str) -> str:
    """Inline Markdown without its marks: what a reader sees."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    text = re.sub(r"<br\s*/?>", " ", text)
    text = re.sub(r"<[^<>]+>", "", text)
    text = re.sub(r"(\*\*|__|`)", "", text)
    text = re.sub(r"(?<!\w)[*_](\S(?:[^*_]*\S)?)[*_](?!\w)", r"\1", text)
    return re.sub(r"\s+", " ", text).strip()
