"""Adapters on disk for tests: one of a tiny real model as PEFT saves it, one written by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from finetune.adapters import AdapterRegistry
from finetune.configuration import Method
from finetune.manifest import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    AdapterVersion,
    Base,
    Manifest,
    Provenance,
    State,
    describe,
)
from tests.finetune.test_manifest import BASE as NO_SHAPES
from tests.finetune.tiny_model import load_base

# PEFT reads an attribute that transformers has renamed.
RENAMED = "ignore:`is_gradient_checkpointing`:FutureWarning"

FIRST_A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"

FIRST_B = FIRST_A.replace("lora_A", "lora_B")

LAYER = "model.layers.0.self_attn.q_proj"

ONE_LAYER = replace(NO_SHAPES, shapes={f"{LAYER}.weight": (6, 4)})


def save_adapter(folder: Path, base: Path, *, size: float = 0.05, **options: Any) -> Path:
    """A LoRA adapter as PEFT saves it, its B matrices noise of the size."""
    import peft
    import torch

    chosen: dict[str, Any] = {"r": 4, "target_modules": "all-linear"} | options
    config = peft.LoraConfig(lora_alpha=8, task_type="CAUSAL_LM", **chosen)
    adapted = peft.get_peft_model(load_base(base), config)
    torch.manual_seed(7)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name or "lora_embedding_B" in name:
                weight.copy_(torch.randn_like(weight) * size)
    adapted.save_pretrained(str(folder), save_embedding_layers=False)
    return folder


def version_of(folder: Path, base: Base, method: Method = Method.LORA) -> AdapterVersion:
    """As the registry would give it."""
    provenance = Provenance(data_licence="CC0-1.0")
    manifest = describe(folder, base, name="skylark", method=method, provenance=provenance)
    return AdapterVersion("skylark", 1, folder, manifest, State.CANDIDATE)


def change_tensors(folder: Path, changes: dict[str, np.ndarray[Any, Any] | None]) -> None:
    """Replace, add, or with None delete tensors of the adapter."""
    tensors = load_file(folder / WEIGHTS_FILE) | changes
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save_file(kept, folder / WEIGHTS_FILE)


def change_config(folder: Path, file_name: str = CONFIG_FILE, **changes: Any) -> None:
    """Replace settings in the adapter's, or another, JSON file."""
    path = folder / file_name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def save_lora(folder: Path, *, rank: int = 2, value: float = 1.0) -> Path:
    """A LoRA of one layer that reads 4 numbers and writes 6."""
    folder.mkdir(parents=True)
    tensors = {
        f"base_model.model.{LAYER}.lora_A.weight": np.full((rank, 4), value, np.float32),
        f"base_model.model.{LAYER}.lora_B.weight": np.zeros((6, rank), np.float32),
    }
    save_file(tensors, folder / WEIGHTS_FILE)
    (folder / CONFIG_FILE).write_text(json.dumps({"peft_type": "LORA", "r": rank}))
    return folder


def manifest_of(folder: Path, name: str = "skylark") -> Manifest:
    """Of what `save_lora` wrote."""
    return describe(
        folder,
        ONE_LAYER,
        name=name,
        method=Method.LORA,
        provenance=Provenance(data_licence="CC-BY-4.0"),
    )


def add(registry: AdapterRegistry, folder: Path, name: str = "skylark") -> AdapterVersion:
    """What `save_lora` wrote, as the next version."""
    return registry.add(folder, manifest_of(folder, name))


def labels(versions: Sequence[AdapterVersion]) -> list[str]:
    """NAME@VERSION of each."""
    return [version.label for version in versions]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of the registry but its lock."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }
