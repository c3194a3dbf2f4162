import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from finetune.errors import ConfigurationError
from finetune.model_shapes import TABLE, Shape, find_shape, known_shapes, read_shape

PUBLISHED = {
    name: row["parameters"]
    for name, row in tomllib.loads(TABLE.read_text(encoding="utf-8")).items()
}
SMALL = {
    "model_type": "llama",
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 10,
}


def config_folder(folder: Path, **changes: object) -> Path:
    (folder / "config.json").write_text(json.dumps(SMALL | changes), encoding="utf-8")
    return folder


@pytest.mark.parametrize(("name", "parameters"), PUBLISHED.items())
def test_table_counts_the_published_parameters(name: str, parameters: int) -> None:
    assert find_shape(name).parameters == parameters


def test_counts_of_a_small_model_are_those_by_hand() -> None:
    shape = Shape("small", 8, 2, 2, 1, 4, 16, 10, 32, tied=False)
    # q 8x8, k and v 8x4, o 8x8: 192; gate, up, down 8x16: 384; two layers.
    assert shape.linear_parameters == 2 * (192 + 384)
    assert shape.embedding_parameters == 2 * 10 * 8
    assert shape.norm_parameters == 2 * 2 * 8 + 8
    assert shape.parameters == 1152 + 160 + 40


def test_tied_head_counts_once() -> None:
    assert find_shape("Qwen/Qwen3-0.6B").embedding_parameters == 151_936 * 1024


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3"])
def test_folder_counts_as_the_model_that_transformers_builds(tmp_path: Path, family: str) -> None:
    import torch
    import transformers

    library: Any = transformers  # untyped calls
    values = {key: value for key, value in SMALL.items() if key != "model_type"}
    config = library.AutoConfig.for_model(
        family, **values, num_key_value_heads=1, head_dim=4, pad_token_id=None
    )
    with torch.device("meta"):
        model = library.AutoModelForCausalLM.from_config(config)
    config.save_pretrained(tmp_path)

    assert read_shape(tmp_path).parameters == sum(each.numel() for each in model.parameters())


def test_short_name_is_enough() -> None:
    assert find_shape("Llama-3.1-8B") == known_shapes()["meta-llama/Llama-3.1-8B"]


def test_variants_have_the_shape_of_their_base() -> None:
    assert find_shape("meta-llama/Llama-3.1-8B-Instruct").parameters == 8_030_261_248


def test_folder_without_optional_keys_has_the_defaults_of_transformers(tmp_path: Path) -> None:
    shape = find_shape(str(config_folder(tmp_path)))

    assert (shape.kv_heads, shape.head_dim, shape.tied) == (2, 4, False)


def test_unknown_model_lists_the_known_ones_and_the_way_out() -> None:
    with pytest.raises(ConfigurationError, match=r"(?s)'acme/llm'.*Qwen/Qwen3-8B.*config\.json"):
        find_shape("acme/llm")


def test_folder_without_config_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read .*config\.json"):
        find_shape(str(tmp_path))


def test_other_family_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"'mixtral' cannot be planned"):
        read_shape(config_folder(tmp_path, model_type="mixtral"))


def test_wrong_sizes_are_all_listed(tmp_path: Path) -> None:
    folder = config_folder(tmp_path, hidden_size=0, vocab_size="many")
    with pytest.raises(ConfigurationError, match="hidden_size, vocab_size must"):
        read_shape(folder)


def test_config_that_is_no_object_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="cannot be planned"):
        read_shape(tmp_path)
