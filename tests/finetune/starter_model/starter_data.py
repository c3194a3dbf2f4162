"""A folder laid out as the training data is, small enough to read."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from finetune.retrieval_data import SETS

TOWNS = ("Alba", "Brin", "Corl", "Dusk", "Elm", "Fara", "Glim", "Hork", "Ilse", "Jarn")


def write_data(folder: Path, *, copies: int = 8) -> Path:
    """`copies` x 10 paragraphs a set, each with one question; prompts; pages."""
    for name in SETS:
        _write_set(folder / "retrieval" / name, copies)
    prompts = [
        {"template": "common_gen_x", "prompt": f"Write of {town}.", "completion": f"In {town}."}
        for town in TOWNS
    ]
    prompts.append({"template": "trec_x", "prompt": "Which class?", "completion": "Number"})
    _rows(folder / "instruction" / "p3_grounded_subset__p3_subset.jsonl.gz", prompts)
    answers = [{"question": "Why?", "answer": "Because **it** rains . So it is. And so on."}]
    _rows(folder / "instruction" / "expertqa__rand_lfqa_train.jsonl.gz", answers)
    _rows(
        folder / "docs" / "docs_markdown__other.jsonl.gz", [{"path": "a", "text": "# Other\n" * 9}]
    )
    _rows(
        folder / "docs" / "docs_markdown__fastapi_en.jsonl.gz", [{"path": "b", "text": "Unseen."}]
    )
    return folder


def _write_set(folder: Path, copies: int) -> None:
    numbers = range(copies * len(TOWNS))
    names = [f"{TOWNS[number % len(TOWNS)]} {number}" for number in numbers]
    corpus = [
        {
            "_id": str(number),
            "title": name.replace(" ", "_"),
            "text": f"It is cold. The gate of {name} opens at {number} o'clock. Bring a coat.",
        }
        for number, name in zip(numbers, names, strict=True)
    ]
    queries = [
        {"_id": f"q{number}", "text": f"when does {name} open?", "answers": [f"{number} o'clock"]}
        for number, name in zip(numbers, names, strict=True)
    ]
    _rows(folder / "corpus.jsonl.gz", corpus)
    _rows(folder / "queries.jsonl.gz", queries)
    judged = "".join(f"q{number}\t{number}\t1\n" for number in numbers)
    (folder / "qrels.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")


def _rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))
