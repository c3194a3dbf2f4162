"""A few real steps of the cross-encoder's training: the same weights after an interruption."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finetune.retrieval_data import HELD_OUT, WRITTEN, Group
from retrieval.onnx_reranker import CALIBRATION_FILE, Calibration
from starter.bundle import EMBEDDER_ADAPTER

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("peft", reason="the extra `train` is not installed")

from finetune import encoder_loop, reranker_pairs  # noqa: E402
from finetune.cross_encoder import CrossEncoder, load  # noqa: E402
from finetune.reranker import train  # noqa: E402
from finetune.reranker_pairs import Configuration, Pair  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # transformers, on loading

ANIMALS = ("dog", "cat", "bird", "horse")
SMALL = Configuration(steps=4, answered_per_step=2, unanswered_per_step=1, others_per_step=1)


def groups() -> list[Group]:
    made = []
    for source in (WRITTEN, HELD_OUT, "others"):
        for animal in ANIMALS:
            others = tuple(f"A {other} costs 5 euros." for other in ANIMALS if other != animal)
            right = f"A {animal} costs 9 euros."
            made.append(Group(source, f"What does a {animal} cost?", right, others))
            made.append(Group(source, f"Where does a {animal} sleep?", None, (right, *others)))
    return [group for group in made if group.source != "others" or group.positive]


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    loaded: dict[str, Any] = load_file(folder / "adapter" / "adapter_model.safetensors")
    return loaded


@pytest.fixture(autouse=True)
def frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_loop, "CHECKPOINT_STEPS", 2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    train(SMALL, groups(), out)
    return out


def test_interrupted_and_resumed_training_ends_with_the_same_weights(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0
    loss = CrossEncoder.loss

    def stopped_in_the_third_step(encoder: CrossEncoder, pairs: Sequence[Pair]) -> Any:
        nonlocal steps
        steps += 1
        if steps == 3:
            raise KeyboardInterrupt
        return loss(encoder, pairs)

    with monkeypatch.context() as patched:
        patched.setattr(CrossEncoder, "loss", stopped_in_the_third_step)
        with pytest.raises(KeyboardInterrupt):
            train(SMALL, groups(), tmp_path)
    train(SMALL, groups(), tmp_path, resume=True)

    first, second = weights(trained), weights(tmp_path)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_adapter_is_small_and_calibrated_and_names_its_base(trained: Path) -> None:
    folder = trained / "adapter"
    settings = json.loads((folder / "adapter_config.json").read_text())

    assert settings["base_model_name_or_path"] == encoder_loop.BASE_MODEL
    assert sum(file.stat().st_size for file in folder.iterdir()) < 6 << 20
    assert isinstance(Calibration.load(folder / CALIBRATION_FILE), Calibration)
    assert json.loads((trained / "configuration.json").read_text())["steps"] == SMALL.steps


def test_training_moves_the_classifier_and_the_layers(trained: Path, tmp_path: Path) -> None:
    train(Configuration(steps=0), groups(), tmp_path)
    before, after = weights(tmp_path), weights(trained)

    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("classifier" in name for name in moved)
    assert any("layer.0" in name for name in moved)


def test_step_holds_pairs_of_every_pool_and_groups_stay_whole() -> None:
    pairs = next(reranker_pairs.steps(SMALL, groups()))
    by_group: dict[int, list[Pair]] = {}
    for pair in pairs:
        by_group.setdefault(pair.group, []).append(pair)

    assert [len(own) for own in by_group.values()] == [4, 4, 2, 4]
    assert [own[0].answers for own in by_group.values()] == [True, True, False, True]
    assert sum(pair.answers for pair in pairs) == 3


def test_scores_come_in_the_order_of_the_pairs() -> None:
    encoder = load(SMALL, EMBEDDER_ADAPTER)
    texts = ["short", "a much longer passage " * 20, "of middling length " * 4] * 10
    pairs = [Pair("What is it?", text, answers=False, group=0) for text in texts]

    together = encoder.judged(pairs)
    alone = np.concatenate([encoder.judged([pair]) for pair in pairs[:3]])
    assert together[:3] == pytest.approx(alone, abs=1e-4)
    assert together[27:] == pytest.approx(together[:3], abs=1e-4)
