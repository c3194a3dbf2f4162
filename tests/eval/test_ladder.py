"""What a model writes, beside what is released of it; over a small system and a scripted model."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eval.ladder import Pair, ask_pairs, holds_fact, own_words, refused, wrong_numbers
from retrieval.documents import Scope
from serving.answers import Sampling
from serving.generation import ScriptedGenerator
from serving.wiring import Twofold
from starter.bundle import Question
from tests.conftest import ROOT, environment
from tests.serving.test_assistant import open_system, vary

ASKED = Question(
    id="q1",
    question="How much does a second suitcase cost?",
    kind="single",
    route="rag",
    documents=("bags.md",),
    facts=("60 euros",),
    zero_overlap=False,
    split="dev",
)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twofold]:
    with open_system(tmp_path_factory.mktemp("home")) as twofold:
        yield twofold


def pair(system: Twofold, text: str, *, answerable: bool = True) -> Pair:
    varied = vary(system, generator=ScriptedGenerator(text), answerable=answerable)
    (found,) = ask_pairs(
        varied.assistant, [ASKED], scope=Scope(), adapter=None, sampling=Sampling()
    )
    return found


def test_supported_answer_is_the_same_with_and_without_the_check(system: Twofold) -> None:
    found = pair(system, "A second suitcase costs 60 euros [1].")

    assert found.unchecked.text == found.released.text
    assert own_words(found.released)
    assert holds_fact(ASKED, found.released)
    assert wrong_numbers(found.released) == []


def test_wrong_amount_is_written_and_not_released(system: Twofold) -> None:
    found = pair(system, "A second suitcase costs 75 euros [1].")

    assert "75" in found.unchecked.text
    assert wrong_numbers(found.unchecked) == ["75"]
    assert not holds_fact(ASKED, found.unchecked)
    assert "75" not in found.released.text
    assert not own_words(found.released)
    assert holds_fact(ASKED, found.released)  # quoted
    assert found.record()["stage"] == "quoted"


def test_question_that_the_passages_do_not_answer_is_refused_both_ways(system: Twofold) -> None:
    found = pair(system, "It costs 60 euros [1].", answerable=False)

    assert refused(found.unchecked)
    assert refused(found.released)


def test_fact_in_too_many_words_does_not_count(system: Twofold) -> None:
    found = pair(system, "It is so. " * 30 + "A second suitcase costs 60 euros [1].")

    assert len(found.unchecked.text.split()) > 80
    assert not holds_fact(ASKED, found.unchecked)


@pytest.mark.slow
def test_command_prints_both_columns(tmp_path: Path, models_dir: Path) -> None:
    save_random_model(tmp_path / "model")
    target = tmp_path / "result.json"
    settings = {
        "generator": "transformers",
        "language_model": str(tmp_path / "model"),
        "prompt_tokens": "600",
        "prompt_instructions": "false",
    }
    command = [sys.executable, "-m", "serving.cli.main", "evaluate", "ladder", "--split", "dev"]
    done = subprocess.run(
        [*command, "--questions", "1", "--json", target],
        env=environment(tmp_path / "home", models_dir, **settings),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(target.read_text())

    assert len(found["answers"]) == 3
    assert "ladder off" in done.stdout
    assert "holds the fact in 80 words, 3 cited" in found["figures"]
    # Random weights support nothing: whatever is answered is quoted.
    assert {answer["stage"] for answer in found["answers"]} <= {"quoted", "refused"}


def save_random_model(folder: Path) -> None:
    """The starter model's shape in small, its tokenizer, and no training."""
    from finetune.starter_model import grounded, model, tokenizer

    rng = random.Random(1)
    told = [
        message.content for _ in range(200) for message in grounded.example(rng, long=True).messages
    ]
    words = tokenizer.train(told, vocabulary=1024, context=model.CONTEXT)
    model.build(model.SIZES["tiny"], words, seed=1).save_pretrained(folder)
    words.save_pretrained(folder)
