"""Questions and passages for training what retrieves."""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starter.bundle import WrittenPassage, read_written_passages

SETS = ("squadshifts_new_wiki", "squadshifts_amazon_reviews", "policyqa_dev")


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


def help_centres() -> list[list[WrittenPassage]]:
    """The written help centres that are not held out, one list each."""
    centres: dict[str, list[WrittenPassage]] = {}
    for row in read_written_passages(trained_on=True):
        centres.setdefault(row.organisation, []).append(row)
    return list(centres.values())


def _pair(row: WrittenPassage, rng: random.Random, *, refusals: bool) -> Pair:
    question = rng.choice(row.questions)
    passage = f"{row.title} > {row.heading}\n{row.passage}"  # as the index embeds it
    return Pair(question, passage, row.unanswered if refusals else ())


def beir_pairs(folder: Path) -> list[Pair]:
    """Every judged question of a set in BEIR layout, with its passage."""
    passages = {
        row["_id"]: f"{row.get('title', '')}\n{row['text']}".strip()
        for row in _rows(folder / "corpus.jsonl.gz")
    }
    questions = {row["_id"]: row["text"] for row in _rows(folder / "queries.jsonl.gz")}
    with (folder / "qrels.tsv").open(encoding="utf-8") as file:
        judged = list(csv.reader(file, delimiter="\t"))[1:]
    return [
        Pair(questions[query], passages[passage])
        for query, passage, grade in judged
        if int(grade) > 0
    ]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
