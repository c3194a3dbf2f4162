"""Questions and passages for training what retrieves."""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from starter.bundle import WrittenPassage, read_written_passages

SETS = ("squadshifts_new_wiki", "squadshifts_amazon_reviews", "policyqa_dev")
WRITTEN = "help_centres"  # a source of groups, as each of SETS is
HELD_OUT_SUFFIX = "_held_out"  # of a source that is measured on, never trained on
HELD_OUT = WRITTEN + HELD_OUT_SUFFIX


@dataclass(frozen=True, slots=True)
class Group:
    """A question with passages found for it; without a positive one, none of them answers it."""

    source: str
    question: str
    positive: str | None
    negatives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JudgedQuestion:
    """A question of a retrieval set, the document that answers it, and the answer's wordings."""

    text: str
    document: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """A question, the passage that answers it, and questions that it nearly answers."""

    question: str
    passage: str
    unanswered: tuple[str, ...] = ()


def batches(
    data: Path, *, organisations: int, others: int, refusals: bool, seed: int
) -> Iterator[list[Pair]]:
    """Endless and repeatable: whole help centres, one question a passage, and other pairs.

    The passages of one help centre are each other's hard negatives. No passage stands twice in a
    batch, since a second copy would count as a wrong answer.
    """
    rng = random.Random(seed)
    centres = help_centres()
    pool = [pair for name in SETS for pair in beir_pairs(data / name)]
    rng.shuffle(pool)
    position = 0
    while True:
        rng.shuffle(centres)
        for start in range(0, len(centres) - organisations + 1, organisations):
            chosen = [row for centre in centres[start : start + organisations] for row in centre]
            batch = [_pair(row, rng, refusals=refusals) for row in chosen]
            seen = {pair.passage for pair in batch}
            while len(batch) < len(chosen) + others:
                pair = pool[position % len(pool)]
                position += 1
                if pair.passage not in seen:
                    seen.add(pair.passage)
                    batch.append(pair)
            yield batch


def help_centres(*, trained_on: bool = True) -> list[list[WrittenPassage]]:
    """The written help centres, one list each: those trained on, or those held out."""
    centres: dict[str, list[WrittenPassage]] = {}
    for row in read_written_passages(trained_on=trained_on):
        centres.setdefault(row.organisation, []).append(row)
    return list(centres.values())


def _pair(row: WrittenPassage, rng: random.Random, *, refusals: bool) -> Pair:
    question = rng.choice(row.questions)
    passage = f"{row.title} > {row.heading}\n{row.passage}"  # as the index embeds it
    return Pair(question, passage, row.unanswered if refusals else ())


def beir_pairs(folder: Path) -> list[Pair]:
    """Every judged question of a set in BEIR layout, with its passage."""
    documents, questions = judged(folder)
    texts = {name: f"{title}\n{text}".strip() for name, (title, text) in documents.items()}
    return [Pair(question.text, texts[question.document]) for question in questions]


def judged(folder: Path) -> tuple[dict[str, tuple[str, str]], list[JudgedQuestion]]:
    """Documents by name, (title, text) each, and every judged question of a set in BEIR layout."""
    documents = {
        row["_id"]: (row.get("title", ""), row["text"]) for row in _rows(folder / "corpus.jsonl.gz")
    }
    questions = {row["_id"]: row for row in _rows(folder / "queries.jsonl.gz")}
    with (folder / "qrels.tsv").open(encoding="utf-8") as file:
        lines = list(csv.reader(file, delimiter="\t"))[1:]
    return documents, [
        JudgedQuestion(questions[query]["text"], document, tuple(questions[query]["answers"]))
        for query, document, grade in lines
        if int(grade) > 0
    ]


def write_groups(path: Path, groups: list[Group]) -> None:
    """One JSON object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(asdict(group), ensure_ascii=False) for group in groups]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_groups(path: Path) -> list[Group]:
    """What `python -m finetune.hard_negatives` wrote."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Group(**row | {"negatives": tuple(row["negatives"])}) for row in rows]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
