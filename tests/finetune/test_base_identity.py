"""One base model from another: a tiny real one, copied, saved again, and changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from finetune.base_identity import chat_template_sha256, read_base, tokenizer_sha256, weights_sha256
from finetune.errors import AdapterError
from finetune.manifest import Base
from tests.finetune.saved_adapters import RENAMED, change_config
from tests.finetune.tiny_model import load_base

pytest.importorskip("torch")
pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings(RENAMED)


def test_base_read_twice_or_copied_is_the_same(copied_base: Path, tiny_base: Base) -> None:
    assert replace(read_base(str(copied_base)), name=tiny_base.name) == tiny_base


def test_base_saved_again_in_shards_is_the_same(
    tiny_models: Path, tiny_base: Base, tmp_path: Path
) -> None:
    load_base(tiny_models / "base").save_pretrained(tmp_path, max_shard_size="20KB")
    transformers.AutoTokenizer.from_pretrained(tiny_models / "base").save_pretrained(tmp_path)

    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert replace(read_base(str(tmp_path)), name=tiny_base.name) == tiny_base


@pytest.mark.parametrize("name", ["/nowhere/models/none", "nobody/no-such-model"])
def test_missing_base_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    with pytest.raises(
        AdapterError, match=rf"cannot read the base model '{name}': .*Give a folder"
    ):
        read_base(name)


def test_base_in_4_bit_is_known_and_its_shapes_are_the_full_ones(
    copied_base: Path, tiny_base: Base
) -> None:
    change_config(
        copied_base,
        "config.json",
        quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True},
    )
    quantized = read_base(str(copied_base))

    assert quantized.quantized
    assert not tiny_base.quantized
    assert quantized.shapes == tiny_base.shapes


def test_tokenizer_hash_outlives_saving_use_and_a_padding_token(
    tiny_models: Path, tiny_base: Base, tmp_path: Path
) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_models / "base")
    tokenizer(["a", "long text"], padding=True, truncation=True, max_length=3)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(tmp_path)
    again = transformers.AutoTokenizer.from_pretrained(tmp_path)

    assert tokenizer_sha256(tokenizer) == tiny_base.tokenizer_sha256
    assert tokenizer_sha256(again) == tiny_base.tokenizer_sha256


def test_tokenizer_hash_sees_another_token_and_another_rule(tiny_models: Path) -> None:
    from tokenizers import normalizers

    def loaded() -> Any:
        return transformers.AutoTokenizer.from_pretrained(tiny_models / "base")

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
