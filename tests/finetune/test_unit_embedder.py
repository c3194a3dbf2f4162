"""Which unit answers: what a step compares, and a few real steps of the training."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from finetune.unit_embedder import Batch, Configuration, batches, unit_texts
from serving.sentences import units
from starter import bundle

SMALL = Configuration(steps=4, organisations_per_batch=1, questions=1, near_misses=1)


@pytest.mark.parametrize("trained_on", [True, False])
def test_answers_are_numbers_of_units_of_their_passage(trained_on: bool) -> None:
    rows = bundle.read_written_passages(trained_on=trained_on)
    marked = [numbers for row in rows for numbers in row.answered_by]

    for row in rows:
        count = len(units(row.passage))
        assert len(row.answered_by) == len(row.questions)
        for numbers in row.answered_by:
            assert len(numbers) == len(set(numbers)) <= 2
            assert all(1 <= number <= count for number in numbers)
    assert sum(map(bool, marked)) >= 0.99 * len(marked)


def test_batch_is_a_whole_help_centre_whose_questions_point_at_their_units() -> None:
    rows = {row.questions: row for row in bundle.read_written_passages(trained_on=True)}
    batch = next(batches(SMALL))

    assert len(batch.questions) == len(batch.answers) == len(batch.unanswered) == 10
    for question, answers in zip(batch.questions, batch.answers, strict=True):
        row = next(row for questions, row in rows.items() if question in questions)
        numbers = row.answered_by[row.questions.index(question)]
        texts = unit_texts(row)
        assert [batch.units[place] for place in answers] == [texts[n - 1] for n in numbers]


def test_batches_are_repeatable_and_differ() -> None:
    first, again = (list(islice(batches(SMALL), 5)) for _ in range(2))

    assert first == again
    assert len({batch.units for batch in first}) == 5


torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("peft", reason="the extra `train` is not installed")

from finetune import bi_encoder, encoder_loop, unit_embedder  # noqa: E402
from finetune.retrieval_data import help_centres  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # transformers, on loading


@pytest.fixture
def one_centre_and_frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_loop, "CHECKPOINT_STEPS", 2)
    few = help_centres(trained_on=False)[:1]
    monkeypatch.setattr(unit_embedder, "help_centres", lambda **_: few)


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    loaded: dict[str, Any] = load_file(folder / "adapter" / "adapter_model.safetensors")
    return loaded


def test_interrupted_and_resumed_training_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_centre_and_frequent_checkpoints: None
) -> None:
    del one_centre_and_frequent_checkpoints
    count = 0
    loss = unit_embedder.loss

    def stopped_in_the_third_step(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return loss(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(unit_embedder, "loss", stopped_in_the_third_step)
        with pytest.raises(KeyboardInterrupt):
            unit_embedder.train(SMALL, tmp_path / "stopped")
    unit_embedder.train(SMALL, tmp_path / "stopped", resume=True)
    unit_embedder.train(SMALL, tmp_path / "whole")
    unit_embedder.train(replace(SMALL, steps=0), tmp_path / "untrained")

    whole, stopped = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    untrained = weights(tmp_path / "untrained")
    assert whole.keys() == stopped.keys() == untrained.keys()
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)
    layers = [name for name in whole if ".layer." in name]  # nothing goes through the pooler
    assert layers
    assert not any(torch.equal(whole[name], untrained[name]) for name in layers)
    settings = json.loads((tmp_path / "whole" / "adapter" / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == encoder_loop.BASE_MODEL


def test_loss_is_small_where_the_vectors_tell_units_and_near_misses_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = Batch(("fee", "weight", "dogs"), ("price?", "kilos?"), ((0,), (1, 2)), ("cats?",))
    axes = torch.eye(3)
    vectors = {"fee": axes[0], "weight": axes[1], "dogs": axes[1], "cats?": axes[2]}

    def loss(price: Any, kilos: Any) -> float:
        known = vectors | {"price?": price, "kilos?": kilos}
        monkeypatch.setattr(
            bi_encoder,
            "embed",
            lambda model, tokenizer, texts, **_: torch.stack([known[text] for text in texts]),
        )
        return float(unit_embedder.loss(None, None, batch, SMALL))

    assert loss(axes[0], axes[1]) < 1e-3
    assert loss(axes[1], axes[0]) > 10
    assert loss(axes[0], axes[2]) > 0.4  # as far from its units as the near miss


def test_validation_says_how_often_the_nearest_unit_answers() -> None:
    model, tokenizer = bi_encoder.load(bundle.EMBEDDER_ADAPTER)
    (centre,) = help_centres(trained_on=False)[:1]

    said = unit_embedder.validate(model, tokenizer, [centre], SMALL)

    assert said.startswith(f"of {4 * len(centre)} questions the nearest unit answers 0.")
    assert said.endswith(f"of {sum(len(r.questions) + len(r.unanswered) for r in centre)}")
