"""Which weights fit which base: what PEFT saves of a tiny real model, and what can be wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from finetune.adapter_checks import check_fits
from finetune.adapter_shapes import shape_problems
from finetune.configuration import Method
from finetune.manifest import CONFIG_FILE, WEIGHTS_FILE, Base
from tests.finetune.saved_adapters import (
    FIRST_A,
    FIRST_B,
    RENAMED,
    change_config,
    change_tensors,
    save_adapter,
    version_of,
)
from tests.finetune.tiny_model import load_base

pytest.importorskip("torch")
peft = pytest.importorskip("peft")
pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings(RENAMED)


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`:UserWarning")
@pytest.mark.filterwarnings("ignore:`lora_bias=True` was passed but")
@pytest.mark.filterwarnings("ignore:Adapter 'default'. 14 LoRA tensor")  # its biases
@pytest.mark.parametrize(
    "options",
    [
        {"target_modules": ["q_proj", "v_proj"]},
        {"rank_pattern": {"q_proj": 2, "layers.1.mlp.down_proj": 8}},
        {"target_modules": ["q_proj", "embed_tokens"]},
        {"modules_to_save": ["norm"]},
        {"use_dora": True},
        {"use_dora": True, "target_modules": ["q_proj", "embed_tokens"]},
        {"lora_bias": True},
        {"bias": "all"},
        {"trainable_token_indices": [3, 5], "target_modules": ["q_proj"]},
        {"target_modules": ["q_proj"], "layers_to_transform": [1]},
        {"target_modules": ["q_proj"], "layers_to_transform": 1, "layers_pattern": "layers"},
        {"target_modules": ["q_proj", "down_proj"], "exclude_modules": ["down_proj"]},
        {"target_modules": ["q_proj", "down_proj"], "exclude_modules": r".*layers\.0.*"},
        {"target_modules": r"(?i).*layers\.1.*Q_PROJ"},
        {"target_modules": ["q_proj", "down_proj"], "modules_to_save": ["layers.0.mlp"]},
    ],
    ids=str,
)
def test_what_peft_saves_fits(
    tiny_models: Path, tiny_base: Base, tmp_path: Path, options: dict[str, Any]
) -> None:
    folder = save_adapter(tmp_path / "lora", tiny_models / "base", **options)

    assert shape_problems(folder, tiny_base.shapes) == []


def test_prompt_tuning_fits_by_its_width(
    tiny_models: Path, tiny_base: Base, tmp_path: Path
) -> None:
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5)
    peft.get_peft_model(load_base(tiny_models / "base"), config).save_pretrained(tmp_path)
    wide = {"model.embed_tokens.weight": (300, 48)}

    check_fits(version_of(tmp_path, tiny_base, Method.PROMPT_TUNING), tiny_base)
    (problem,) = shape_problems(tmp_path, wide)
    assert problem.startswith("prompt_embeddings has shape (5, 32), this base needs (5, 48)")


def test_layer_that_is_stored_the_other_way_round_fits(tmp_path: Path) -> None:
    tensors = {
        "base_model.model.h.0.c_attn.lora_A.weight": np.zeros((2, 4), np.float32),
        "base_model.model.h.0.c_attn.lora_B.weight": np.zeros((6, 2), np.float32),
    }
    save_file(tensors, tmp_path / WEIGHTS_FILE)
    config = {"peft_type": "LORA", "r": 2, "fan_in_fan_out": True}  # GPT-2's Conv1D: (in, out)
    (tmp_path / CONFIG_FILE).write_text(json.dumps(config))

    assert shape_problems(tmp_path, {"h.0.c_attn.weight": (4, 6)}) == []
    assert len(shape_problems(tmp_path, {"h.0.c_attn.weight": (6, 4)})) == 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({FIRST_A: np.zeros((4, 33))}, ["has shape (4, 33), this base needs (4, 32)"]),
        ({FIRST_B: np.zeros((31, 4))}, ["has shape (31, 4), this base needs (32, 4)"]),
        ({FIRST_A: np.zeros((3, 32))}, ["has rank 3, adapter_config.json says 4"]),
        ({FIRST_A: np.zeros(128)}, ["has shape (128,), which is no matrix"]),
        ({FIRST_B: None}, [f"stands without {FIRST_B}"]),
        (
            {name.replace("layers.0", "layers.7"): np.zeros((4, 32)) for name in (FIRST_A,)},
            ["the base has no layer 'model.layers.7.self_attn.q_proj'", "stands without"],
        ),
        (
            {"base_model.model.model.norm.weight": np.zeros(31)},
            ["model.norm.weight has shape (31,), this base needs (32,)"],
        ),
    ],
)
def test_shape_that_does_not_fit_is_named(
    adapter: Path, tiny_base: Base, changes: dict[str, Any], expected: Sequence[str]
) -> None:
    change_tensors(adapter, changes)
    found = shape_problems(adapter, tiny_base.shapes)

    assert len(found) == len(expected)
    for problem, words in zip(found, expected, strict=True):
        assert words in problem


def layers_that(name: str, count: int) -> str:
    return f"target_modules names '{name}', and {count} of its 2 layers have no LoRA weights"


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ("layers.0.self_attn.q_proj", [layers_that("down_proj", 2), layers_that("q_proj", 1)]),
        ("q_proj", [layers_that("down_proj", 2)]),
        ("layers.1", [layers_that("down_proj", 1), layers_that("q_proj", 1)]),
    ],
)
def test_layers_that_the_configuration_promises_must_be_there(
    tiny_models: Path, tiny_base: Base, tmp_path: Path, kept: str, expected: list[str]
) -> None:
    targets = ["q_proj", "down_proj"]
    folder = save_adapter(tmp_path / "lora", tiny_models / "base", target_modules=targets)
    change_tensors(folder, {n: None for n in load_file(folder / WEIGHTS_FILE) if kept not in n})
    found = sorted(shape_problems(folder, tiny_base.shapes))

    assert [problem.partition(", '")[0] for problem in found] == expected


def test_layers_that_a_pattern_promises_must_be_there(adapter: Path, tiny_base: Base) -> None:
    change_config(adapter, target_modules=r".*\.q_proj")
    change_tensors(adapter, {FIRST_A: None, FIRST_B: None})
    (problem,) = shape_problems(adapter, tiny_base.shapes)

    assert "1 of its 2 layers have no LoRA weights, 'model.layers.0.self_attn.q_proj'" in problem


def test_target_that_is_nowhere_is_named(adapter: Path, tiny_base: Base) -> None:
    change_config(adapter, target_modules=["q_proj", "c_attn", "proj"])
    found = shape_problems(adapter, tiny_base.shapes)

    assert [problem.partition(",")[0] for problem in found] == [
        "target_modules names 'c_attn'",
        "target_modules names 'proj'",  # the end of a name is not a name
    ]
    assert "neither in adapter_model.safetensors nor in the base" in found[0]


@pytest.mark.parametrize(
    "name",
    [
        "base_model.model.model.layers.9.mlp.evil.weight",
        "evil",
        "base_model.model.evil.lora_magnitude_vector",
    ],
)
def test_tensor_that_the_base_does_not_know_is_named(
    adapter: Path, tiny_base: Base, name: str
) -> None:
    change_tensors(adapter, {name: np.zeros(3)})
    (problem,) = shape_problems(adapter, tiny_base.shapes)

    assert problem.startswith(f"{name}: the base has no such parameter; use the base")


def test_extra_of_a_layer_that_is_too_wide_is_named(adapter: Path, tiny_base: Base) -> None:
    name = FIRST_A.replace("lora_A.weight", "lora_magnitude_vector")
    change_tensors(adapter, {name: np.zeros(33)})
    (problem,) = shape_problems(adapter, tiny_base.shapes)

    assert problem.startswith(f"{name} has shape (33,), its layer in this base has (32, 32)")


def test_rank_of_the_configuration_counts(adapter: Path, tiny_base: Base) -> None:
    change_config(adapter, r=16)
    found = shape_problems(adapter, tiny_base.shapes)

    assert len(found) == 2 * 2 * 7  # A and B of seven layers in two blocks
    assert all("has rank 4, adapter_config.json says 16" in problem for problem in found)


def test_adapter_without_weights_is_refused(adapter: Path, tiny_base: Base) -> None:
    save_file({"nothing": np.zeros(1)}, adapter / WEIGHTS_FILE)

    assert shape_problems(adapter, tiny_base.shapes) == [
        "adapter_model.safetensors holds no LoRA weights; save the adapter again after training"
    ]
