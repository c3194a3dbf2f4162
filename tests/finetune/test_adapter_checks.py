"""Which adapter may run on which base: a tiny real model, and everything that can differ."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from finetune.adapter_checks import check_files, check_fits, shape_problems
from finetune.base_identity import chat_template_sha256, read_base, tokenizer_sha256, weights_sha256
from finetune.configuration import Method
from finetune.errors import AdapterError, DamagedAdapterError, IncompatibleAdapterError
from finetune.manifest import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    AdapterVersion,
    Base,
    Provenance,
    State,
    describe,
)
from finetune.safetensors_header import not_finite, read_header
from tests.finetune.tiny_model import load_base, save_tiny_model

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

# PEFT reads an attribute that transformers has renamed.
RENAMED = "ignore:`is_gradient_checkpointing`:FutureWarning"
pytestmark = pytest.mark.filterwarnings(RENAMED)
FIRST_A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
FIRST_B = FIRST_A.replace("lora_A", "lora_B")


def save_adapter(folder: Path, base: Path, *, size: float = 0.05, **options: Any) -> Path:
    """A LoRA adapter as PEFT saves it, its B matrices noise of the size."""
    options = {"r": 4, "target_modules": "all-linear"} | options
    config = peft.LoraConfig(lora_alpha=8, task_type="CAUSAL_LM", **options)
    adapted = peft.get_peft_model(load_base(base), config)
    torch.manual_seed(7)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name or "lora_embedding_B" in name:
                weight.copy_(torch.randn_like(weight) * size)
    adapted.save_pretrained(folder, save_embedding_layers=False)
    return folder


def version_of(folder: Path, base: Base, method: Method = Method.LORA) -> AdapterVersion:
    """As the registry would give it."""
    provenance = Provenance(data_licence="CC0-1.0")
    manifest = describe(folder, base, name="skylark", method=method, provenance=provenance)
    return AdapterVersion("skylark", 1, folder, manifest, State.CANDIDATE)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base/ and lora/, an adapter for it; never changed."""
    folder = tmp_path_factory.mktemp("models")
    save_adapter(folder / "lora", save_tiny_model(folder / "base", hidden=32))
    return folder


@pytest.fixture(scope="module")
def base(models: Path) -> Base:
    return read_base(str(models / "base"))


@pytest.fixture
def adapter(models: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(models / "lora", tmp_path / "lora"))


@pytest.fixture
def copied_base(models: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(models / "base", tmp_path / "copied"))


def change_tensors(folder: Path, changes: dict[str, np.ndarray[Any, Any] | None]) -> None:
    """Replace, add, or with None delete tensors of the adapter."""
    tensors = load_file(folder / WEIGHTS_FILE) | changes
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save_file(kept, folder / WEIGHTS_FILE)


def change_config(folder: Path, file_name: str = CONFIG_FILE, **changes: Any) -> None:
    path = folder / file_name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# Files.


def test_whole_adapter_passes(models: Path, base: Base) -> None:
    version = version_of(models / "lora", base)

    check_files(version.directory, version.manifest)


@pytest.mark.parametrize("file_name", [WEIGHTS_FILE, CONFIG_FILE])
def test_changed_file_is_named_with_both_hashes(adapter: Path, base: Base, file_name: str) -> None:
    manifest = version_of(adapter, base).manifest
    with (adapter / file_name).open("ab") as file:
        file.write(b" ")

    with pytest.raises(DamagedAdapterError, match=f"{file_name} has changed") as raised:
        check_files(adapter, manifest)
    expected = {WEIGHTS_FILE: manifest.adapter_model_sha256}
    assert expected.get(file_name, manifest.adapter_config_sha256) in str(raised.value)


@pytest.mark.parametrize(
    "name",
    [
        "adapter_model.bin",
        "optimizer.pt",
        "a.pth",
        "b.pkl",
        "c.ckpt",
        "D.PT",
        "e.pickle",
        "f.joblib",
        "g.dill",
    ],
)
def test_pickle_is_refused_by_name(adapter: Path, base: Base, name: str) -> None:
    manifest = version_of(adapter, base).manifest
    (adapter / name).write_bytes(b"")

    with pytest.raises(DamagedAdapterError, match=f"holds {name}: pickles can run code"):
        check_files(adapter, manifest)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 4,
        (10**15).to_bytes(8, "little") + b"{}",
        (5).to_bytes(8, "little") + b"hello",
        (2).to_bytes(8, "little") + b"[]",
        (14).to_bytes(8, "little") + b'{"a": "wrong"}',
    ],
)
def test_file_that_is_no_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / WEIGHTS_FILE).write_bytes(content)

    with pytest.raises(DamagedAdapterError, match="is no whole safetensors file"):
        read_header(tmp_path / WEIGHTS_FILE)


def test_weights_that_were_cut_off_are_refused(adapter: Path) -> None:
    path = adapter / WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(DamagedAdapterError, match="bytes are announced"):
        read_header(path)


def save_raw(path: Path, rows: dict[str, Any], size: int) -> Path:
    """A safetensors file with the header as given, and `size` bytes of weights."""
    header = json.dumps(rows).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))
    return path


def row(start: Any, end: int, shape: Any = (2, 2), dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    ("rows", "size", "problem"),
    [
        ({"a": row(0, 16), "b": row(0, 16)}, 16, r"b lies at \[0, 16\].*must lie at \[16, 32\]"),
        ({"a": row(0, 16), "b": row(8, 24)}, 24, r"b lies at \[8, 24\].*must lie at \[16, 32\]"),
        ({"a": row(0, 16), "b": row(20, 36)}, 36, r"b lies at \[20, 36\].*must lie at \[16, 32\]"),
        ({"a": row(4, 20)}, 20, r"a lies at \[4, 20\].*must lie at \[0, 16\]"),
        ({"a": row(0, 4)}, 4, r"a lies at \[0, 4\].*must lie at \[0, 16\]"),
        ({"a": row(0, 16, dtype="BF16")}, 16, r"must lie at \[0, 8\]"),
        ({"a": row(0.0, 16)}, 16, r"a lies at \[0.0, 16\]"),
        ({"a": row(0, 16, dtype="F33")}, 16, "a has the type 'F33'"),
        ({"a": row(0, 16, (-2, -2))}, 16, r"a has the shape \[-2, -2\]"),
        ({"a": row(0, 16, "22")}, 16, "a has the shape '22'"),
        ({"a": row(0, 16)}, 17, "bytes are announced"),
        ({}, 1, "bytes are announced"),
    ],
)
def test_header_that_does_not_describe_its_bytes_is_refused(
    tmp_path: Path, rows: dict[str, Any], size: int, problem: str
) -> None:
    with pytest.raises(DamagedAdapterError, match=rf"no whole safetensors file \(.*{problem}"):
        read_header(save_raw(tmp_path / WEIGHTS_FILE, rows, size))


def test_header_in_any_order_and_with_empty_tensors_is_read(tmp_path: Path) -> None:
    rows = {"b": row(0, 16), "a": row(16, 24, dtype="F16"), "c": row(16, 16, (0, 2))}
    tensors = read_header(save_raw(tmp_path / WEIGHTS_FILE, rows, 24))

    assert [tensor.name for tensor in tensors] == ["a", "b", "c"]
    starts = {tensor.name: tensor.start - tensors[1].start for tensor in tensors}
    assert starts == {"a": 16, "b": 0, "c": 16}


@pytest.mark.parametrize(
    "dtype", ["float16", "bfloat16", "float32", "float64", "float8_e4m3fn", "float8_e5m2"]
)
def test_nan_is_found_in_every_type_of_float(tmp_path: Path, dtype: str) -> None:
    from safetensors.torch import save_file as save_torch

    kind = getattr(torch, dtype)
    largest, whole = torch.finfo(kind).max, torch.arange(3)
    numbers = torch.tensor([0.0, -1.0, largest, -largest], dtype=torch.float64).to(kind)
    nan = torch.tensor([0.0, 1.0, float("nan")]).to(kind)
    save_torch({"good": numbers, "whole": whole, "bad": nan}, tmp_path / WEIGHTS_FILE)

    assert not_finite(tmp_path / WEIGHTS_FILE) == ["bad"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"r": 0}, "r: "),
        ({"r": True}, "r: "),
        ({"lora_alpha": float("nan")}, "lora_alpha: Input should be a finite number"),
        ({"lora_alpha": float("inf")}, "lora_alpha: Input should be a finite number"),
        ({"lora_alpha": "many"}, "lora_alpha: Input should be a valid number"),
        ({"lora_alpha": 10**400}, "lora_alpha: "),
        ({"rank_pattern": "x"}, "rank_pattern: "),
        ({"rank_pattern": {"(": 3}}, r"rank_pattern.*'\(' is no regular expression"),
        ({"rank_pattern": {"q_proj": "z"}}, "rank_pattern.q_proj: "),
        ({"rank_pattern": {"q_proj": 0}}, "rank_pattern.q_proj: "),
        ({"alpha_pattern": {"[": 3}}, r"alpha_pattern.*'\[' is no regular expression"),
        ({"target_modules": "("}, r"target_modules.*'\(' is no regular expression"),
        ({"target_modules": 3}, "target_modules"),
        ({"layers_pattern": "("}, r"layers_pattern.*'\(' is no regular expression"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_configuration_with_a_wrong_setting_is_refused(
    adapter: Path, base: Base, changes: dict[str, Any], problem: str
) -> None:
    change_config(adapter, **changes)

    with pytest.raises(DamagedAdapterError, match=f"is no configuration of LoRA: .*{problem}"):
        shape_problems(adapter, base.shapes)


@pytest.mark.parametrize("file_name", [WEIGHTS_FILE, CONFIG_FILE])
def test_json_nested_too_deep_is_refused(adapter: Path, base: Base, file_name: str) -> None:
    deep = b"[" * 200_000
    start = len(deep).to_bytes(8, "little") if file_name == WEIGHTS_FILE else b""
    (adapter / file_name).write_bytes(start + deep)

    with pytest.raises(DamagedAdapterError, match=file_name):
        shape_problems(adapter, base.shapes)


def test_header_says_what_safetensors_says(models: Path) -> None:
    loaded = load_file(models / "lora" / WEIGHTS_FILE)

    assert {
        tensor.name: tensor.shape for tensor in read_header(models / "lora" / WEIGHTS_FILE)
    } == {name: tensor.shape for name, tensor in loaded.items()}


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"peft_type": "LORA"}'])
def test_configuration_that_cannot_be_read_is_refused(
    adapter: Path, base: Base, content: str
) -> None:
    (adapter / CONFIG_FILE).write_text(content)
    manifest = version_of(adapter, base).manifest

    with pytest.raises(DamagedAdapterError, match=CONFIG_FILE):
        check_files(adapter, manifest)


# The base.


def test_adapter_fits_its_base(models: Path, base: Base) -> None:
    check_fits(version_of(models / "lora", base), base)


def test_base_read_twice_or_copied_is_the_same(copied_base: Path, base: Base) -> None:
    assert replace(read_base(str(copied_base)), name=base.name) == base


def test_base_saved_again_in_shards_is_the_same(models: Path, base: Base, tmp_path: Path) -> None:
    load_base(models / "base").save_pretrained(tmp_path, max_shard_size="20KB")
    transformers.AutoTokenizer.from_pretrained(models / "base").save_pretrained(tmp_path)

    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert replace(read_base(str(tmp_path)), name=base.name) == base


def test_base_with_other_weights_of_the_same_shape_is_refused(
    models: Path, base: Base, tmp_path: Path
) -> None:
    other = read_base(str(save_tiny_model(tmp_path / "other", hidden=32, seed=2)))

    with pytest.raises(IncompatibleAdapterError) as raised:
        check_fits(version_of(models / "lora", base), other)
    message = str(raised.value)
    assert base.weights_sha256 is not None
    assert other.weights_sha256 is not None
    assert "adapter skylark@1 does not fit" in message
    assert f"base: trained on {base.name!r} with weights {base.weights_sha256[:12]}" in message
    assert f"this base has {other.weights_sha256[:12]}; use {base.name!r}" in message
    assert message.count("\n") == 1  # the rest is the same


def test_wider_base_is_refused_for_its_architecture_and_its_shapes(
    models: Path, base: Base, tmp_path: Path
) -> None:
    wide = read_base(str(save_tiny_model(tmp_path / "wide", hidden=48)))

    with pytest.raises(IncompatibleAdapterError) as raised:
        check_fits(version_of(models / "lora", base), wide)
    message = str(raised.value)
    assert f"architecture: trained on one with hash {base.config_sha256[:12]}" in message
    assert f"{FIRST_A} has shape (4, 32), this base needs (4, 48)" in message
    assert f"{FIRST_B} has shape (32, 4), this base needs (48, 4)" in message
    assert "tokenizer" not in message


def test_weights_that_are_not_on_this_machine_are_not_compared(models: Path, base: Base) -> None:
    check_fits(version_of(models / "lora", base), replace(base, weights_sha256=None))
    check_fits(version_of(models / "lora", replace(base, weights_sha256=None)), base)


def test_same_base_under_another_name_fits(models: Path, base: Base) -> None:
    check_fits(version_of(models / "lora", base), replace(base, name="Qwen/Qwen3-8B"))


def test_other_chat_template_is_refused(models: Path, base: Base, copied_base: Path) -> None:
    template = copied_base / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|end|>", "<|end|>\n\n"))
    other = read_base(str(copied_base))

    with pytest.raises(IncompatibleAdapterError) as raised:
        check_fits(version_of(models / "lora", base), other)
    assert base.chat_template_sha256 is not None
    assert other.chat_template_sha256 is not None
    assert str(raised.value).splitlines()[1].strip() == (
        f"chat template: trained with {base.chat_template_sha256[:12]}, this base has "
        f"{other.chat_template_sha256[:12]}; use the chat template of {base.name!r}, or train "
        "again with this one"
    )


def test_missing_chat_template_is_refused(models: Path, base: Base) -> None:
    with pytest.raises(IncompatibleAdapterError, match=r"chat template: .* has none; use"):
        check_fits(version_of(models / "lora", base), replace(base, chat_template_sha256=None))


def test_other_tokenizer_is_refused(models: Path, base: Base, copied_base: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(copied_base)
    tokenizer.eos_token = "<|user|>"
    tokenizer.save_pretrained(copied_base)

    with pytest.raises(IncompatibleAdapterError, match=r"tokenizer: trained with .* tokenizer fil"):
        check_fits(version_of(models / "lora", base), read_base(str(copied_base)))


def test_everything_that_differs_is_listed_at_once(models: Path, base: Base) -> None:
    digest = "0" * 64
    other = replace(
        base,
        config_sha256=digest,
        weights_sha256=digest,
        tokenizer_sha256=digest,
        chat_template_sha256=digest,
        shapes={},
    )

    with pytest.raises(IncompatibleAdapterError) as raised:
        check_fits(version_of(models / "lora", base), other)
    starts = [line.strip().partition(":")[0] for line in str(raised.value).splitlines()]
    assert starts[1:6] == [
        "base",
        "architecture",
        "tokenizer",
        "chat template",
        FIRST_A.replace("self_attn.q_proj", "mlp.down_proj"),
    ]


@pytest.mark.parametrize("name", ["/nowhere/models/none", "nobody/no-such-model"])
def test_missing_base_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    with pytest.raises(
        AdapterError, match=rf"cannot read the base model '{name}': .*Give a folder"
    ):
        read_base(name)


def test_base_in_4_bit_is_known_and_its_shapes_are_the_full_ones(
    copied_base: Path, base: Base
) -> None:
    change_config(
        copied_base,
        "config.json",
        quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True},
    )
    quantized = read_base(str(copied_base))

    assert quantized.quantized
    assert not base.quantized
    assert quantized.shapes == base.shapes


# Shapes.


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
    models: Path, base: Base, tmp_path: Path, options: dict[str, Any]
) -> None:
    folder = save_adapter(tmp_path / "lora", models / "base", **options)

    assert shape_problems(folder, base.shapes) == []


def test_prompt_tuning_fits_by_its_width(models: Path, base: Base, tmp_path: Path) -> None:
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5)
    peft.get_peft_model(load_base(models / "base"), config).save_pretrained(tmp_path)
    wide = {"model.embed_tokens.weight": (300, 48)}

    check_fits(version_of(tmp_path, base, Method.PROMPT_TUNING), base)
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
    adapter: Path, base: Base, changes: dict[str, Any], expected: Sequence[str]
) -> None:
    change_tensors(adapter, changes)
    found = shape_problems(adapter, base.shapes)

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
    models: Path, base: Base, tmp_path: Path, kept: str, expected: list[str]
) -> None:
    targets = ["q_proj", "down_proj"]
    folder = save_adapter(tmp_path / "lora", models / "base", target_modules=targets)
    change_tensors(folder, {n: None for n in load_file(folder / WEIGHTS_FILE) if kept not in n})
    found = sorted(shape_problems(folder, base.shapes))

    assert [problem.partition(", '")[0] for problem in found] == expected


def test_layers_that_a_pattern_promises_must_be_there(adapter: Path, base: Base) -> None:
    change_config(adapter, target_modules=r".*\.q_proj")
    change_tensors(adapter, {FIRST_A: None, FIRST_B: None})
    (problem,) = shape_problems(adapter, base.shapes)

    assert "1 of its 2 layers have no LoRA weights, 'model.layers.0.self_attn.q_proj'" in problem


def test_target_that_is_nowhere_is_named(adapter: Path, base: Base) -> None:
    change_config(adapter, target_modules=["q_proj", "c_attn", "proj"])
    found = shape_problems(adapter, base.shapes)

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
def test_tensor_that_the_base_does_not_know_is_named(adapter: Path, base: Base, name: str) -> None:
    change_tensors(adapter, {name: np.zeros(3)})
    (problem,) = shape_problems(adapter, base.shapes)

    assert problem.startswith(f"{name}: the base has no such parameter; use the base")


def test_extra_of_a_layer_that_is_too_wide_is_named(adapter: Path, base: Base) -> None:
    name = FIRST_A.replace("lora_A.weight", "lora_magnitude_vector")
    change_tensors(adapter, {name: np.zeros(33)})
    (problem,) = shape_problems(adapter, base.shapes)

    assert problem.startswith(f"{name} has shape (33,), its layer in this base has (32, 32)")


def test_rank_of_the_configuration_counts(adapter: Path, base: Base) -> None:
    change_config(adapter, r=16)
    found = shape_problems(adapter, base.shapes)

    assert len(found) == 2 * 2 * 7  # A and B of seven layers in two blocks
    assert all("has rank 4, adapter_config.json says 16" in problem for problem in found)


def test_adapter_without_weights_is_refused(adapter: Path, base: Base) -> None:
    save_file({"nothing": np.zeros(1)}, adapter / WEIGHTS_FILE)

    assert shape_problems(adapter, base.shapes) == [
        "adapter_model.safetensors holds no LoRA weights; save the adapter again after training"
    ]


# Hashes.


def test_tokenizer_hash_outlives_saving_use_and_a_padding_token(
    models: Path, base: Base, tmp_path: Path
) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(models / "base")
    tokenizer(["a", "long text"], padding=True, truncation=True, max_length=3)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(tmp_path)
    again = transformers.AutoTokenizer.from_pretrained(tmp_path)

    assert tokenizer_sha256(tokenizer) == base.tokenizer_sha256
    assert tokenizer_sha256(again) == base.tokenizer_sha256


def test_tokenizer_hash_sees_another_token_and_another_rule(models: Path) -> None:
    from tokenizers import normalizers

    def loaded() -> Any:
        return transformers.AutoTokenizer.from_pretrained(models / "base")

    more, lower = loaded(), loaded()
    more.add_tokens(["<|tool|>"])
    lower.backend_tokenizer.normalizer = normalizers.Lowercase()

    assert len({tokenizer_sha256(tokenizer) for tokenizer in (loaded(), more, lower)}) == 3


class _Templated:
    def __init__(self, chat_template: str | dict[str, str] | None) -> None:
        self.chat_template = chat_template


@pytest.mark.parametrize("template", [None, "", {}])
def test_no_chat_template_has_no_hash(template: Any) -> None:
    assert chat_template_sha256(_Templated(template)) is None


def test_chat_template_hash_is_of_what_jinja_reads() -> None:
    same = [chat_template_sha256(_Templated(text)) for text in ("a\nb", "a\nb\n", "a\r\nb\r\n")]
    other = [chat_template_sha256(_Templated(text)) for text in (" a\nb", "a\nb\n\n", "a b")]

    assert len(set(same)) == 1
    assert len(set(same + other)) == 4


def test_folder_without_weights_has_no_fingerprint(copied_base: Path) -> None:
    (copied_base / "model.safetensors").unlink()

    assert weights_sha256(copied_base) is None
    assert read_base(str(copied_base)).weights_sha256 is None
