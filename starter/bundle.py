"""Where the bundled files are, and the questions among them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
DOCUMENTS = FOLDER / "documents"
QUESTIONS = FOLDER / "questions.jsonl"
ROUTER_EXAMPLES = FOLDER / "router" / "examples.jsonl"
VOICES = FOLDER / "voices"
RETRIEVAL_PASSAGES = FOLDER / "retrieval" / "passages.jsonl"
EMBEDDER_ADAPTER = FOLDER / "models" / "embedder"
UNIT_EMBEDDER_ADAPTER = FOLDER / "models" / "unit-embedder"
RERANKER_ADAPTER = FOLDER / "models" / "reranker"
LANGUAGE_MODEL = FOLDER / "models" / "language-model"
ROUTER_HEAD = FOLDER / "models" / "router" / "head.safetensors"
ANSWERABILITY = FOLDER / "models" / "answerability" / "answerability.safetensors"


HELD_OUT_ORGANISATIONS = 8  # the last written help centres: measured on, never trained on


@dataclass(frozen=True, slots=True)
class WrittenPassage:
    """A passage of a made-up organisation's help centre, and questions that it answers.

    `answered_by` holds for each question the numbers, from 1, of the units (serving/sentences.py)
    that answer it, the best first; `unanswered` are questions that no passage of the organisation
    answers.
    """

    organisation: str
    title: str
    heading: str
    passage: str
    questions: tuple[str, ...]
    answered_by: tuple[tuple[int, ...], ...]
    unanswered: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """A question with what a right answer needs.

    `documents` are sources (paths below `documents/`); `facts` must all stand in an answer;
    `zero_overlap` marks a wording that shares no content word with the passage.
    """

    id: str
    question: str
    kind: str
    route: str
    documents: tuple[str, ...]
    facts: tuple[str, ...]
    zero_overlap: bool
    split: str


def read_questions(path: Path = QUESTIONS, *, split: str | None = None) -> list[Question]:
    """The questions of one split, or all.

    Raises:
        ValueError: a line is no question; names the file and line.
    """
    questions = [_question(path, number, row) for number, row in _rows(path)]
    return [question for question in questions if split is None or question.split == split]


def read_written_passages(*, trained_on: bool) -> list[WrittenPassage]:
    """The help centres that models of ours were trained on, or those kept for measuring."""
    rows = [json.loads(line) for _, line in _rows(RETRIEVAL_PASSAGES)]
    organisations = list(dict.fromkeys(row["organisation"] for row in rows))
    held_out = set(organisations[-HELD_OUT_ORGANISATIONS:])
    return [
        WrittenPassage(
            organisation=row["organisation"],
            title=row["title"],
            heading=row["heading"],
            passage=row["passage"],
            questions=tuple(row["questions"]),
            answered_by=tuple(tuple(numbers) for numbers in row["answered_by"]),
            unanswered=tuple(row["unanswered"]),
        )
        for row in rows
        if (row["organisation"] not in held_out) == trained_on
    ]


def _rows(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            yield number, line


def _question(path: Path, number: int, line: str) -> Question:
    try:
        row = json.loads(line)
        return Question(
            id=row["id"],
            question=row["question"],
            kind=row["kind"],
            route=row["route"],
            documents=_texts(row["documents"]),
            facts=_texts(row["facts"]),
            zero_overlap=row.get("zero_overlap", False),
            split=row.get("split", "test"),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}:{number}: not a question ({type(error).__name__}: {error}); each line is an "
            "object with id, question, kind, route, documents and facts"
        ) from error


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError(f"a list of texts is needed, got {value!r}")
    return tuple(value)
