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
ROUTER_HEAD = FOLDER / "models" / "router" / "head.safetensors"
ANSWERABILITY = FOLDER / "models" / "answerability" / "answerability.safetensors"


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
            documents=tuple(row["documents"]),
            facts=tuple(row["facts"]),
            zero_overlap=row.get("zero_overlap", False),
            split=row.get("split", "test"),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}:{number}: not a question ({type(error).__name__}: {error}); each line is an "
            "object with id, question, kind, route, documents and facts"
        ) from error
