"""Adapters that were trained elsewhere: added when they fit, refused by name when they don't."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from finetune.adapters import AdapterRegistry
from finetune.configuration import Method
from finetune.errors import AdapterError, IncompatibleAdapterError
from finetune.manifest import CONFIG_FILE, WEIGHTS_FILE
from tests.finetune.saved_adapters import LAYER, ONE_LAYER


def test_import_of_half_an_adapter_is_refused(registry: AdapterRegistry, trained: Path) -> None:
    config = {"peft_type": "LORA", "r": 2, "target_modules": ["q_proj"]}
    (trained / CONFIG_FILE).write_text(json.dumps(config))
    second = LAYER.replace("0", "1")
    deep = replace(ONE_LAYER, shapes={**ONE_LAYER.shapes, f"{second}.weight": (6, 4)})

    with pytest.raises(IncompatibleAdapterError, match=f"1 of its 2 layers .*{second}"):
        registry.import_directory(trained, name="skylark", base=deep, licence="CC0-1.0")
    added = registry.import_directory(trained, name="skylark", base=ONE_LAYER, licence="CC0-1.0")
    assert added.label == "skylark@1"


def test_adapter_from_elsewhere_is_imported(registry: AdapterRegistry, trained: Path) -> None:
    added = registry.import_directory(trained, name="skylark", base=ONE_LAYER, licence="CC0-1.0")

    assert added.label == "skylark@1"
    assert added.manifest.method is Method.LORA
    assert added.manifest.data_licence == "CC0-1.0"
    assert added.manifest.data_sha256 is None
    assert added.manifest.training == {"r": 2}


def test_import_for_another_base_is_refused(registry: AdapterRegistry, trained: Path) -> None:
    wide = replace(ONE_LAYER, shapes={f"{LAYER}.weight": (8, 8)})

    with pytest.raises(IncompatibleAdapterError, match=r"lora_A.weight has shape \(2, 4\)"):
        registry.import_directory(trained, name="skylark", base=wide, licence="CC0-1.0")
    assert registry.versions() == []


@pytest.mark.parametrize(
    ("prepare", "problem"),
    [
        (lambda folder: (folder / WEIGHTS_FILE).unlink(), "holds no adapter_model.safetensors"),
        (lambda folder: (folder / CONFIG_FILE).unlink(), "holds no adapter_config.json"),
        (lambda folder: (folder / CONFIG_FILE).write_text("{"), "cannot read"),
        (
            lambda folder: (folder / CONFIG_FILE).write_text('{"peft_type": "IA3"}'),
            "is for 'IA3'; adapters are LORA or PROMPT_TUNING",
        ),
        (
            lambda folder: (folder / WEIGHTS_FILE).rename(folder / "adapter_model.bin"),
            "adapter_model.bin: pickles can run code",
        ),
    ],
)
def test_import_of_a_folder_that_is_no_adapter_is_refused(
    registry: AdapterRegistry, trained: Path, prepare: Any, problem: str
) -> None:
    prepare(trained)

    with pytest.raises(AdapterError, match=problem):
        registry.import_directory(trained, name="skylark", base=ONE_LAYER, licence="CC0-1.0")
    assert registry.versions() == []
