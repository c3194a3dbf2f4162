"""The loss on general text."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from eval.errors import EvaluationError
from eval.forgetting import losses, mean_loss, read_texts
from tests.finetune.tiny_model import load_base, save_tiny_model

TEXTS = ["The quick brown fox jumps over the lazy dog.", "Fly."]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    from transformers import AutoTokenizer

    folder = save_tiny_model(tmp_path_factory.mktemp("base"))
    return load_base(folder), AutoTokenizer.from_pretrained(folder)


def test_loss_is_that_of_the_model_itself(loaded: tuple[Any, Any]) -> None:
    """Transformers computes the mean over the tokens after the first, given labels."""
    model, tokenizer = loaded
    found = losses(model, tokenizer, TEXTS)
    for row, text in zip(found, TEXTS, strict=True):
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        assert row[1] == ids.shape[1] - 1
        loss = model(input_ids=ids, labels=ids).loss.detach()
        assert row[0] / row[1] == pytest.approx(float(loss), 1e-4)


def test_loss_of_equal_chances_is_the_logarithm_of_their_number(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    weights = model.lm_head.weight.data.clone()
    model.lm_head.weight.data.zero_()
    try:
        found = mean_loss(losses(model, tokenizer, TEXTS))
    finally:
        model.lm_head.weight.data.copy_(weights)

    assert found == pytest.approx(math.log(model.config.vocab_size), 1e-5)


def test_texts_are_paragraphs_of_eight_words_spread_over_the_files(tmp_path: Path) -> None:
    paragraph = "one two three four five six seven {}"
    for name in ("a.md", "b.txt", "c.json"):
        text = "\n\n".join(["# Short", *(paragraph.format(f"{name}{n}") for n in range(4))])
        (tmp_path / name).write_text(text)

    assert read_texts(tmp_path, limit=4) == [
        paragraph.format(end) for end in ("a.md0", "a.md2", "b.txt0", "b.txt2")
    ]


def test_folder_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="holds no paragraph"):
        read_texts(tmp_path, limit=3)
