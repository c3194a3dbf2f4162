"""Which adapter may run on which base: a tiny real model, and everything that can differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from finetune.adapter_checks import check_files, check_fits
from finetune.base_identity import read_base
from finetune.errors import DamagedAdapterError, IncompatibleAdapterError
from finetune.manifest import CONFIG_FILE, WEIGHTS_FILE, Base
from tests.finetune.saved_adapters import FIRST_A, FIRST_B, RENAMED, version_of
from tests.finetune.tiny_model import save_tiny_model

pytest.importorskip("torch")
pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings(RENAMED)


def test_whole_adapter_passes(tiny_models: Path, tiny_base: Base) -> None:
    version = version_of(tiny_models / "lora", tiny_base)

    check_files(version.directory, version.manifest)


@pytest.mark.parametrize("file_name", [WEIGHTS_FILE, CONFIG_FILE])
def test_changed_file_is_named_with_both_hashes(
    adapter: Path, tiny_base: Base, file_name: str
) -> None:
    manifest = version_of(adapter, tiny_base).manifest
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
def test_pickle_is_refused_by_name(adapter: Path, tiny_base: Base, name: str) -> None:
    manifest = version_of(adapter, tiny_base).manifest
    (adapter / name).write_bytes(b"")

    with pytest.raises(DamagedAdapterError, match=f"holds {name}: pickles can run code"):
        check_files(adapter, manifest)


def test_adapter_fits_its_base(tiny_models: Path, tiny_base: Base) -> None:
    check_fits(version_of(tiny_models / "lora", tiny_base), tiny_base)


def test_base_with_other_weights_of_the_same_shape_is_refused(
    tiny_models: Path, tiny_base: Base, tmp_path: Path
) -> None:
    other = read_base(str(save_tiny_model(tmp_path / "other", hidden=32, seed=2)))

    with pytest.raises(IncompatibleAdapterError) as raised:
        check_fits(version_of(tiny_models / "lora", tiny_base), other)
    message = str(raised.value)
    assert tiny_base.weights_sha256 is not None
    assert other.weights_sha256 is not None
    assert "adapter skylark@1 does not fit" in message
    assert (
        f"base: trained on {tiny_base.name!r} with weights {tiny_base.weights_sha256[:12]}"
        in message
    )
    assert f"this base has {other.weights_sha256[:12]}; use {tiny_base.name!r}" in message
    assert message.count("\n") == 1  # the rest is the same


def test_wider_base_is_refused_for_its_architecture_and_its_shapes(
    tiny_models: Path, tiny_base: Base, tmp_path: Path
) -> None:
    wide = read_base(str(save_tiny_model(tmp_path / "wide", hidden=48)))

    with pytest.raises(IncompatibleAdapterError) as raised:
        check_fits(version_of(tiny_models / "lora", tiny_base), wide)
    message = str(raised.value)
    assert f"architecture: trained on one with hash {tiny_base.config_sha256[:12]}" in message
    assert f"{FIRST_A} has shape (4, 32), this base needs (4, 48)" in message
    assert f"{FIRST_B} has shape (32, 4), this base needs (48, 4)" in message
    assert "tokenizer" not in message


def test_weights_that_are_not_on_this_machine_are_not_compared(
    tiny_models: Path, tiny_base: Base
) -> None:
    check_fits(version_of(tiny_models / "lora", tiny_base), replace(tiny_base, weights_sha256=None))
    check_fits(version_of(tiny_models / "lora", replace(tiny_base, weights_sha256=None)), tiny_base)


def test_same_base_under_another_name_fits(tiny_models: Path, tiny_base: Base) -> None:
    check_fits(
        version_of(tiny_models / "lora", tiny_base), replace(tiny_base, name="Qwen/Qwen3-8B")
    )


def test_other_chat_template_is_refused(
    tiny_models: Path, tiny_base: Base, copied_base: Path
) -> None:
    template = copied_base / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|end|>", "<|end|>\n\n"))
    other = read_base(str(copied_base))

    with pytest.raises(IncompatibleAdapterError) as raised:
        check_fits(version_of(tiny_models / "lora", tiny_base), other)
    assert tiny_base.chat_template_sha256 is not None
    assert other.chat_template_sha256 is not None
    assert str(raised.value).splitlines()[1].strip() == (
        f"chat template: trained with {tiny_base.chat_template_sha256[:12]}, this base has "
        f"{other.chat_template_sha256[:12]}; use the chat template of {tiny_base.name!r}, or train "
        "again with this one"
    )


def test_missing_chat_template_is_refused(tiny_models: Path, tiny_base: Base) -> None:
    with pytest.raises(IncompatibleAdapterError, match=r"chat template: .* has none; use"):
        check_fits(
            version_of(tiny_models / "lora", tiny_base),
            replace(tiny_base, chat_template_sha256=None),
        )


def test_other_tokenizer_is_refused(tiny_models: Path, tiny_base: Base, copied_base: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(copied_base)
    tokenizer.eos_token = "<|user|>"
    tokenizer.save_pretrained(copied_base)

    with pytest.raises(IncompatibleAdapterError, match=r"tokenizer: trained with .* tokenizer fil"):
        check_fits(version_of(tiny_models / "lora", tiny_base), read_base(str(copied_base)))


def test_everything_that_differs_is_listed_at_once(tiny_models: Path, tiny_base: Base) -> None:
    digest = "0" * 64
    other = replace(
        tiny_base,
        config_sha256=digest,
        weights_sha256=digest,
        tokenizer_sha256=digest,
        chat_template_sha256=digest,
        shapes={},
    )

    with pytest.raises(IncompatibleAdapterError) as raised:
        check_fits(version_of(tiny_models / "lora", tiny_base), other)
    starts = [line.strip().partition(":")[0] for line in str(raised.value).splitlines()]
    assert starts[1:6] == [
        "base",
        "architecture",
        "tokenizer",
        "chat template",
        FIRST_A.replace("self_attn.q_proj", "mlp.down_proj"),
    ]
