"""Training the head on separable sentences, and what it is trained on."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from retrieval.embedding import HashEmbedder
from router.intents import Intent, route_table
from router.train import PER_CATEGORY, TEMPERATURES, WRITTEN_WEIGHT, Example, read_examples, train
from starter import bundle

pytest.importorskip("sklearn", reason="the extra `train` is not installed")

OPENINGS = {
    Intent.FACTUAL: "how much costs",
    Intent.CREATIVE: "write a poem about",
    Intent.ANALYSIS: "compare pros and cons of",
    Intent.SMALL_TALK: "hello thanks for",
}
THINGS = ("bags", "dogs", "seats", "wifi", "meals", "refunds", "points", "lounges", "visas", "skis")
EXAMPLES = [
    Example(f"{opening} {thing}", intent, 1.0)
    for thing in THINGS
    for intent, opening in OPENINGS.items()
]


@pytest.mark.parametrize(("intent", "opening"), OPENINGS.items())
def test_train_on_separable_sentences_routes_unseen_ones(intent: Intent, opening: str) -> None:
    embedder = HashEmbedder(256)
    head = train(EXAMPLES, embedder)
    routing = head.route(embedder.embed([f"{opening} pushchairs"])[0])
    assert routing.intent is intent
    assert routing.route is route_table().routes[intent]
    assert routing.score is not None
    assert routing.score > 0.5


def test_train_writes_what_the_head_was_made_with() -> None:
    head = train(EXAMPLES, HashEmbedder(32))
    assert head.embedder == "hash"
    assert head.weights.shape == (len(Intent), 32)
    assert head.bias.shape == (len(Intent),)
    assert head.temperature in TEMPERATURES.tolist()


def test_train_twice_gives_the_same_head() -> None:
    first, second = (train(EXAMPLES, HashEmbedder(32)) for _ in range(2))
    assert first.weights.tobytes() == second.weights.tobytes()
    assert first.temperature == second.temperature


def test_train_on_a_rare_intent_counts_it_like_the_others() -> None:
    rare = [e for e in EXAMPLES if e.intent is not Intent.SMALL_TALK or "s" not in e.text[-1]]
    few = [*rare, *[e for e in EXAMPLES if e.intent is Intent.SMALL_TALK][:3]]
    embedder = HashEmbedder(256)
    head = train(few, embedder)
    assert head.route(embedder.embed(["hello thanks for"])[0]).intent is Intent.SMALL_TALK


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


ROWS = [
    {"instruction": "Who wrote it?", "category": "open_qa"},
    {"instruction": "Write a poem.", "category": "creative_writing"},
    {"instruction": "Not of a listed category.", "category": "riddle"},
]


@pytest.mark.parametrize("name", ["dolly_train.jsonl", "dolly_train.jsonl.gz"])
def test_read_examples_takes_the_listed_categories_of_a_set(tmp_path: Path, name: str) -> None:
    write_rows(tmp_path / name, ROWS)
    found = {e.text: e for e in read_examples(tmp_path)}
    assert found["Who wrote it?"] == Example("Who wrote it?", Intent.FACTUAL, 1.0)
    assert found["Write a poem."] == Example("Write a poem.", Intent.CREATIVE, 1.0)
    assert "Not of a listed category." not in found


def test_read_examples_draws_a_limited_number_of_a_category(tmp_path: Path) -> None:
    rows = [{"instruction": f"Who? {n}", "category": "open_qa"} for n in range(PER_CATEGORY + 50)]
    write_rows(tmp_path / "dolly_train.jsonl", rows)
    first, second = read_examples(tmp_path), read_examples(tmp_path)
    assert sum(e.text.startswith("Who? ") for e in first) == PER_CATEGORY
    assert first == second


def test_read_examples_of_a_folder_without_a_set_names_what_it_looks_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds none of dolly_train"):
        read_examples(tmp_path)


def test_read_examples_adds_the_written_ones_with_more_weight(tmp_path: Path) -> None:
    write_rows(tmp_path / "dolly_train.jsonl", ROWS)
    written = [json.loads(line) for line in bundle.ROUTER_EXAMPLES.read_text().splitlines()]
    found = Counter((e.text, e.intent.value) for e in read_examples(tmp_path) if e.weight > 1)
    assert all(found[row["text"], row["intent"]] for row in written)
    assert {e.weight for e in read_examples(tmp_path)} == {1.0, WRITTEN_WEIGHT}


def test_read_examples_holds_dev_questions_and_no_test_question(tmp_path: Path) -> None:
    write_rows(tmp_path / "dolly_train.jsonl", ROWS)
    texts = {" ".join(e.text.lower().split()) for e in read_examples(tmp_path)}
    dev, test = (
        {" ".join(q.question.lower().split()) for q in bundle.read_questions(split=split)}
        for split in ("dev", "test")
    )
    assert dev <= texts
    assert not texts & test
