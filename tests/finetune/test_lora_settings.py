"""What PEFT's configuration may say, and what is told about one that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from finetune.adapter_checks import check_files
from finetune.adapter_shapes import shape_problems
from finetune.errors import DamagedAdapterError
from finetune.manifest import CONFIG_FILE, WEIGHTS_FILE, Base
from tests.finetune.saved_adapters import RENAMED, change_config, version_of

pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings(RENAMED)


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
    adapter: Path, tiny_base: Base, changes: dict[str, Any], problem: str
) -> None:
    change_config(adapter, **changes)

    with pytest.raises(DamagedAdapterError, match=f"is no configuration of LoRA: .*{problem}"):
        shape_problems(adapter, tiny_base.shapes)


@pytest.mark.parametrize("file_name", [WEIGHTS_FILE, CONFIG_FILE])
def test_json_nested_too_deep_is_refused(adapter: Path, tiny_base: Base, file_name: str) -> None:
    deep = b"[" * 200_000
    start = len(deep).to_bytes(8, "little") if file_name == WEIGHTS_FILE else b""
    (adapter / file_name).write_bytes(start + deep)

    with pytest.raises(DamagedAdapterError, match=file_name):
        shape_problems(adapter, tiny_base.shapes)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"peft_type": "LORA"}'])
def test_configuration_that_cannot_be_read_is_refused(
    adapter: Path, tiny_base: Base, content: str
) -> None:
    (adapter / CONFIG_FILE).write_text(content)
    manifest = version_of(adapter, tiny_base).manifest

    with pytest.raises(DamagedAdapterError, match=CONFIG_FILE):
        check_files(adapter, manifest)
