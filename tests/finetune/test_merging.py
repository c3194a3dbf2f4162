"""Base + adapter as one model: the same answers, whole on disk or not there at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from finetune import merging
from finetune.base_identity import read_base
from finetune.configuration import Method
from finetune.errors import AdapterError, IncompatibleAdapterError
from finetune.manifest import CONFIG_FILE, AdapterVersion
from finetune.merging import MERGE_FILE, MergeError, merge
from tests.finetune.saved_adapters import (
    RENAMED,
    change_config,
    save_adapter,
    version_of,
)
from tests.finetune.tiny_model import load_base, save_tiny_model

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings(RENAMED)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """A model this small is slower on several cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_model(tmp_path_factory.mktemp("models") / "base", hidden=32))


@pytest.fixture(scope="module")
def version(base: str, tmp_path_factory: pytest.TempPathFactory) -> AdapterVersion:
    folder = save_adapter(tmp_path_factory.mktemp("lora") / "1", Path(base))
    return version_of(folder, read_base(base))


def logits(model: Any) -> Any:
    with torch.inference_mode():
        return model.eval()(input_ids=torch.arange(5, 60)[None]).logits.float()  # (1, 55, vocab)


def adapted(version: AdapterVersion, base: str) -> Any:
    return peft.PeftModel.from_pretrained(load_base(Path(base)), str(version.directory))


def left(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_merged_model_runs_alone_and_answers_as_base_with_adapter(
    version: AdapterVersion, base: str, tmp_path: Path
) -> None:
    merge(version, tmp_path / "merged", base=base, dtype="float32")
    merged = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    expected = logits(adapted(version, base))

    assert not isinstance(merged, peft.PeftModel)
    assert torch.allclose(logits(merged), expected, atol=1e-4)
    assert not torch.allclose(logits(load_base(Path(base))), expected, atol=1e-2)


def test_merged_folder_has_safetensors_tokenizer_and_chat_template(
    version: AdapterVersion, base: str, tmp_path: Path
) -> None:
    merge(version, tmp_path / "merged", base=base)
    names = set(left(tmp_path / "merged"))
    one, other = read_base(base), read_base(str(tmp_path / "merged"))

    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md", MERGE_FILE} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt"))]
    assert one.tokenizer_sha256 == other.tokenizer_sha256
    assert one.chat_template_sha256 == other.chat_template_sha256
    assert one.weights_sha256 != other.weights_sha256
    assert left(tmp_path) == ["merged"]


def test_weights_are_in_16_bit_unless_asked_otherwise(
    version: AdapterVersion, base: str, tmp_path: Path
) -> None:
    merged = merge(version, tmp_path / "merged", base=base)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(merged.directory, dtype="auto")

    assert merged.dtype == "bfloat16"
    assert {weight.dtype for weight in loaded.parameters()} == {torch.bfloat16}


def test_record_says_what_was_merged_and_how_well(
    version: AdapterVersion, base: str, tmp_path: Path
) -> None:
    merged = merge(version, tmp_path / "merged", base=base)
    record = json.loads((tmp_path / "merged" / MERGE_FILE).read_text())
    readme = (tmp_path / "merged" / "README.md").read_text()

    assert record["adapter"]["name"] == "skylark"
    assert record["base"]["weights_sha256"] == version.manifest.base_weights_sha256
    assert record["dtype"] == "bfloat16"
    assert record["agreement"]["difference_max"] == merged.agreement.difference_max
    assert "skylark@1" in readme
    assert "CC0-1.0" in readme
    assert 0 < merged.agreement.difference_mean < merged.agreement.effect_mean


@pytest.mark.parametrize("dtype", ["nf4", "int8", "float16"])
def test_other_precisions_are_refused(
    version: AdapterVersion, base: str, tmp_path: Path, dtype: str
) -> None:
    with pytest.raises(MergeError, match=f"cannot merge into '{dtype}': merge in bfloat16 or fl"):
        merge(version, tmp_path / "merged", base=base, dtype=dtype)
    assert left(tmp_path) == []


def test_quantised_base_is_refused(version: AdapterVersion, base: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(base, tmp_path / "base-4bit"))
    quantization = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    change_config(folder, "config.json", quantization_config=quantization)

    with pytest.raises(MergeError, match=r"holds quantised weights.*give the full weights of"):
        merge(version, tmp_path / "merged", base=str(folder))


def test_other_base_is_refused(version: AdapterVersion, tmp_path: Path) -> None:
    other = save_tiny_model(tmp_path / "other", hidden=32, seed=2)

    with pytest.raises(IncompatibleAdapterError, match="base: trained on"):
        merge(version, tmp_path / "merged", base=str(other))
    assert left(tmp_path) == ["other"]


def test_damaged_adapter_is_refused(version: AdapterVersion, base: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(version.directory, tmp_path / "lora"))
    change_config(folder, lora_alpha=16)

    with pytest.raises(AdapterError, match=f"{CONFIG_FILE} has changed"):
        merge(replace(version, directory=folder), tmp_path / "merged", base=base)


def test_prompt_tuning_is_refused(version: AdapterVersion, base: str, tmp_path: Path) -> None:
    manifest = version.manifest.model_copy(update={"method": Method.PROMPT_TUNING})

    with pytest.raises(MergeError, match="adds tokens, not weights; serve it as an adapter"):
        merge(replace(version, manifest=manifest), tmp_path / "merged", base=base)


def test_folder_that_holds_something_is_left_alone(
    version: AdapterVersion, base: str, tmp_path: Path
) -> None:
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / "mine").write_text("kept")

    with pytest.raises(MergeError, match="exists; give a new folder"):
        merge(version, tmp_path / "merged", base=base)
    assert left(tmp_path / "merged") == ["mine"]


def test_empty_folder_is_filled(version: AdapterVersion, base: str, tmp_path: Path) -> None:
    (tmp_path / "merged").mkdir()
    merge(version, tmp_path / "merged", base=base)

    assert (tmp_path / "merged" / MERGE_FILE).is_file()


@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_merge_that_went_wrong_is_noticed(
    version: AdapterVersion,
    base: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    factor: float,
    dtype: str,
) -> None:
    right = peft.LoraModel.merge_and_unload

    def wrong(self: Any, **options: Any) -> Any:
        for module in self.modules():
            if isinstance(module, peft.tuners.lora.LoraLayer):
                module.scaling["default"] *= factor
        return right(self, **options)

    monkeypatch.setattr(peft.LoraModel, "merge_and_unload", wrong)
    with pytest.raises(MergeError, match="nothing was written"):
        merge(version, tmp_path / "merged", base=base, dtype=dtype)
    assert left(tmp_path) == []


def test_adapter_smaller_than_the_rounding_is_refused(base: str, tmp_path: Path) -> None:
    folder = save_adapter(tmp_path / "lora", Path(base), size=1e-6)
    version = version_of(folder, read_base(base))

    with pytest.raises(MergeError, match=r"rounding to bfloat16 loses .* or merge in float32"):
        merge(version, tmp_path / "merged", base=base)
    assert left(tmp_path) == ["lora"]


def test_adapter_that_changes_nothing_is_refused(base: str, tmp_path: Path) -> None:
    version = version_of(save_adapter(tmp_path / "l", Path(base), size=0), read_base(base))

    with pytest.raises(MergeError, match="changes nothing that the base says"):
        merge(version, tmp_path / "merged", base=base)


def test_weights_that_are_not_numbers_are_refused(base: str, tmp_path: Path) -> None:
    folder = save_adapter(tmp_path / "lora", Path(base), size=float("nan"))
    version = version_of(folder, read_base(base))

    with pytest.raises(MergeError, match="NaN"):
        merge(version, tmp_path / "merged", base=base)


@pytest.mark.parametrize("writer", ["tokenizer", "record"])
def test_full_disk_leaves_nothing(
    version: AdapterVersion,
    base: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    writer: str,
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if writer == "tokenizer":
        monkeypatch.setattr(transformers.PreTrainedTokenizerFast, "save_pretrained", full)
    else:
        monkeypatch.setattr(merging, "_write_records", full)
    with pytest.raises(MergeError, match=r"No space left on device\. Nothing was left there"):
        merge(version, tmp_path / "new" / "merged", base=base)
    assert left(tmp_path / "new") == []


def test_interruption_leaves_nothing(
    version: AdapterVersion, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(merging, "_write_records", interrupted)
    with pytest.raises(KeyboardInterrupt):
        merge(version, tmp_path / "merged", base=base)
    assert left(tmp_path) == []
