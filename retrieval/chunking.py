"""Markdown -> passages: one section at a time, tables whole where they fit, exact spans."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from retrieval.documents import Document, Passage, passage_id
from retrieval.loading import plain_heading

if TYPE_CHECKING:
    from markdown_it.token import Token
    from semantic_text_splitter import MarkdownSplitter
    from tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class _Section:
    heading_path: tuple[str, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Table:
    start: int
    end: int
    header: str


class Chunker:
    """Cuts documents into passages of at most `max_tokens` tokens of the embedder.

    A passage never crosses a heading. The splitting inside a section is
    semantic-text-splitter's: largest Markdown units that fit, sentences before words.
    """

    def __init__(self, tokenizer: Tokenizer, *, max_tokens: int) -> None:
        if max_tokens < 16:
            raise ValueError(f"max_tokens must be at least 16, got {max_tokens!r}")
        self._splitter = _splitter(tokenizer, max_tokens)

    def chunk(self, document: Document) -> list[Passage]:
        """Passages in reading order; text between them is white space or a bare heading."""
        tokens = _parse(document.text)
        offsets = _line_offsets(document.text)
        tables = list(_tables(document.text, tokens, offsets))
        passages: list[Passage] = []
        for section in _sections(document.text, tokens, offsets):
            for start, end in self._spans(document.text, section):
                ordinal = len(passages)
                passages.append(
                    Passage(
                        id=passage_id(
                            document=document.id, generation=document.generation, ordinal=ordinal
                        ),
                        document_id=document.id,
                        generation=document.generation,
                        ordinal=ordinal,
                        title=document.title,
                        heading_path=section.heading_path,
                        text=document.text[start:end],
                        start=start,
                        end=end,
                        table_header=_header_above(tables, start),
                    )
                )
        return passages

    def _spans(self, text: str, section: _Section) -> Iterator[tuple[int, int]]:
        for offset, chunk in self._splitter.chunk_indices(text[section.start : section.end]):
            if re.search(r"\w", chunk):
                yield section.start + offset, section.start + offset + len(chunk)


def _splitter(tokenizer: Tokenizer, max_tokens: int) -> MarkdownSplitter:
    from semantic_text_splitter import MarkdownSplitter
    from tokenizers import Tokenizer

    counting = Tokenizer.from_str(tokenizer.to_str())  # a copy: the embedder's own truncates
    counting.no_truncation()
    counting.no_padding()
    return MarkdownSplitter.from_huggingface_tokenizer(counting, max_tokens)


def _parse(text: str) -> list[Token]:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable("table").parse(text)


def _line_offsets(text: str) -> list[int]:
    """Character offset of every line's start, and of the end of the text."""
    ends = [match.end() for match in re.finditer(r"\r\n|\n|\r", text)]  # as Markdown has it
    return [0, *ends, len(text)]


def _sections(text: str, tokens: list[Token], offsets: list[int]) -> Iterator[_Section]:
    """The text under each heading, without the heading line itself."""
    path: list[tuple[int, str]] = []
    start = 0
    for opening, inline in pairwise(tokens):
        if opening.type != "heading_open" or opening.level != 0 or opening.map is None:
            continue
        if text[start : offsets[opening.map[0]]].strip():
            yield _Section(tuple(name for _, name in path), start, offsets[opening.map[0]])
        level = int(opening.tag[1])
        path = [(depth, name) for depth, name in path if depth < level]
        path.append((level, plain_heading(inline.content)))
        start = offsets[opening.map[1]]
    if text[start:].strip():
        yield _Section(tuple(name for _, name in path), start, len(text))


def _tables(text: str, tokens: list[Token], offsets: list[int]) -> Iterator[_Table]:
    for token in tokens:
        if token.type == "table_open" and token.map is not None:
            first, last = token.map
            start = offsets[first]
            header = text[start : offsets[first + 1]].strip()
            yield _Table(start, offsets[min(last, len(offsets) - 1)], header)


def _header_above(tables: list[_Table], start: int) -> str:
    for table in tables:
        if table.start + len(table.header) <= start < table.end:
            return table.header
    return ""
