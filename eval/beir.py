"""Retrieval sets in BEIR layout: documents, questions, and which document answers which question.

    corpus.jsonl[.gz]    one object a line: _id, text, and mostly title
    queries.jsonl[.gz]   one object a line: _id, text
    qrels.tsv, or qrels/test.tsv as BEIR ships it: query-id, corpus-id, grade; tab separated

Source: Thakur et al., BEIR: A Heterogeneous Benchmark, NeurIPS 2021.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from eval.errors import DatasetError

QUERIES = ("queries.jsonl", "queries.jsonl.gz")
QRELS = ("qrels.tsv", "qrels/test.tsv")
_FIELDS = 3  # of a line of the qrels


class Text(NamedTuple):
    """A document's title, which may be empty, and its text."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """A set, or a sample of its queries.

    `grades` holds, for each query, its judged documents; at least one grade is above 0. A query
    without any such document cannot be scored and is left out. `judged` is the number of queries
    before a sample was drawn.
    """

    name: str
    documents: Mapping[str, Text]
    queries: Mapping[str, str]
    grades: Mapping[str, Mapping[str, int]]
    judged: int

    def sample(self, size: int, *, seed: int) -> Dataset:
        """At most `size` of the queries: the same ones for the same seed, however they are sorted.

        All documents stay: they are what the queries are searched in.
        """
        drawn = random.Random(seed).sample(sorted(self.queries), min(size, len(self.queries)))
        return replace(
            self,
            queries={name: self.queries[name] for name in drawn},
            grades={name: self.grades[name] for name in drawn},
        )

    def corpus_sha256(self) -> str:
        """Hex SHA-256 of every document's id, title and text, in the file's order."""
        digest = hashlib.sha256()
        for name, document in self.documents.items():
            digest.update(json.dumps([name, *document]).encode())
        return digest.hexdigest()


def read_dataset(folder: Path) -> Dataset:
    """The set in a folder; it is called by the folder's name.

    Raises:
        DatasetError: a file is missing or broken, or a line names what does not exist.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; a set is a folder in BEIR layout")
    corpus = _find(folder, "corpus.jsonl", "corpus.jsonl.gz")
    asked = _find(folder, *QUERIES)
    judgements = _find(folder, *QRELS)
    documents = read_documents(corpus)
    queries = {row.id: row.text for row in _rows(asked)}
    grades: dict[str, dict[str, int]] = {}
    for row in _judgements(judgements):
        for name, known, where in ((row.query, queries, asked), (row.document, documents, corpus)):
            if name not in known:
                raise DatasetError(f"{judgements}:{row.line}: {name!r} is not in {where}")
        grades.setdefault(row.query, {})[row.document] = row.grade
    grades = {name: judged for name, judged in grades.items() if max(judged.values()) > 0}
    if not grades:
        raise DatasetError(f"{judgements}: no query has a document with a grade above 0")
    return Dataset(
        name=folder.resolve().name,
        documents=documents,
        queries={name: queries[name] for name in grades},
        grades=grades,
        judged=len(grades),
    )


def read_documents(corpus: Path) -> dict[str, Text]:
    """Every document of a corpus file, by its id. Raises DatasetError."""
    return {row.id: Text(row.title, row.text) for row in _rows(corpus)}


def read_queries(folder: Path) -> dict[str, str]:
    """Every query of a set, judged or not, by its id. Raises DatasetError."""
    return {row.id: row.text for row in _rows(_find(folder, *QUERIES))}


def _find(folder: Path, *names: str) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DatasetError(f"{folder}: holds no {' and no '.join(names)}")


class _Row(NamedTuple):
    id: str
    title: str
    text: str


class _Judgement(NamedTuple):
    line: int
    query: str
    document: str
    grade: int


def _rows(path: Path) -> Iterator[_Row]:
    """Objects of a .jsonl(.gz) file; blank lines are passed over."""
    seen = set()
    for number, line in _lines(path):
        try:
            row = _row(json.loads(line))
        except (ValueError, TypeError) as error:
            raise DatasetError(
                f"{path}:{number}: {error}; each line is a JSON object with _id and text"
            ) from error
        if row.id in seen:
            raise DatasetError(f"{path}:{number}: _id {row.id!r} stands twice")
        seen.add(row.id)
        yield row


def _row(value: Any) -> _Row:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no object")
    for key in ("_id", "text"):
        if key not in value:
            raise ValueError(f"{key} is missing")
    title, text = value.get("title") or "", value["text"]
    if not isinstance(title, str) or not isinstance(text, str):
        raise TypeError("title and text must be strings")
    if not isinstance(value["_id"], str | int):
        raise TypeError("_id must be a string")
    return _Row(str(value["_id"]), title, text)


def _judgements(path: Path) -> Iterator[_Judgement]:
    """Lines of the qrels. A header is passed over; a grade below 0 means the same as 0."""
    for number, line in _lines(path):
        fields = line.rstrip("\r\n").split("\t")
        try:
            if len(fields) != _FIELDS:
                raise ValueError(f"{len(fields)} fields")
            query, document, grade = fields
            yield _Judgement(number, query, document, max(0, int(grade)))
        except ValueError as error:
            if number == 1 and len(fields) == _FIELDS:
                continue  # the header
            raise DatasetError(
                f"{path}:{number}: {error}; each line is query-id, corpus-id and a whole number, "
                "separated by tabs"
            ) from error


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of each line that is not blank."""
    opener = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opener(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                text = line.decode("utf-8-sig")
                if text.strip():
                    yield number, text
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}:{number}: not UTF-8: {error}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path}:{number + 1}: cannot be read: {error}") from error
