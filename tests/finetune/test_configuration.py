"""Training configurations: presets, files over them, and what is wrong with others."""

from __future__ import annotations

from pathlib import Path

import pytest

from finetune.configuration import (
    PRESETS,
    Method,
    Optimizer,
    Targets,
    TrainingConfiguration,
    load_configuration,
    preset_names,
    read_preset,
)
from finetune.errors import ConfigurationError
from tests.conftest import ROOT

NEEDED = 'name = "skylark"\ntrain = "voice.jsonl"\ndata_licence = "Apache-2.0"\n'


def written(folder: Path, text: str) -> Path:
    file = folder / "train.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_with_what_it_leaves_open(name: str, tmp_path: Path) -> None:
    loaded = load_configuration(written(tmp_path, f'preset = "{name}"\n{NEEDED}'))

    assert loaded.base_model.endswith(read_preset(name)["base_model"])
    assert loaded.method is (Method.LORA if name == "starter" else Method.QLORA)


def test_presets_are_those_that_the_documents_name() -> None:
    assert preset_names() == ["qlora-24gb", "qlora-24gb-small", "starter"]


def test_defaults_are_those_of_qlora(tmp_path: Path) -> None:
    loaded = load_configuration(written(tmp_path, f'base_model = "x"\n{NEEDED}'))

    assert (loaded.rank, loaded.alpha, loaded.dropout) == (16, 32, 0.05)
    assert (loaded.targets, loaded.double_quantization) == (Targets.ATTENTION, True)
    assert (loaded.optimizer, loaded.learning_rate) == (Optimizer.PAGED_ADAMW_8BIT, 2e-4)
    assert loaded.activation_checkpointing
    assert not loaded.packing


def test_file_says_otherwise_than_its_preset(tmp_path: Path) -> None:
    file = written(tmp_path, f'preset = "qlora-24gb"\nrank = 64\nbase_model = "other"\n{NEEDED}')
    loaded = load_configuration(file)

    assert (loaded.rank, loaded.base_model, loaded.batch_size) == (64, "other", 2)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    loaded = load_configuration(written(tmp_path, f'base_model = "base"\n{NEEDED}'))

    assert loaded.train == tmp_path / "voice.jsonl"
    assert loaded.base_model == str(tmp_path / "base")


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = 'name = "Sky Lark"\nbase_model = "x"\ntrain = "v"\nranks = 8\ndropout = 1.5\n'
    with pytest.raises(ConfigurationError) as refused:
        load_configuration(written(tmp_path, text))

    for word in ("name: ", "ranks: ", "dropout: ", "data_licence: "):
        assert word in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('preset = "qlora-80gb"', "no preset 'qlora-80gb'; there are qlora-24gb"),
        ("name = ", "cannot read"),
    ],
)
def test_unreadable_configuration_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_configuration(written(tmp_path, text))


def test_configuration_of_the_guide_loads_with_every_line_that_is_commented_out(
    tmp_path: Path,
) -> None:
    guide = (ROOT / "docs" / "TRAINING.md").read_text(encoding="utf-8")
    text = guide.partition("```toml\n")[2].partition("```")[0]
    plain = load_configuration(written(tmp_path, text))
    loaded = load_configuration(written(tmp_path, text.replace("\n# ", "\n")))

    assert text.count("\n# ") == 5
    assert loaded == plain  # what is commented out are the defaults


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        load_configuration(tmp_path / "none.toml")


def test_configuration_of_several_gpus_is_one_that_accelerate_knows() -> None:
    config_args = pytest.importorskip("accelerate.commands.config.config_args")
    loaded = config_args.load_config_from_file(str(PRESETS / "fsdp-qlora.yaml"))

    assert loaded.distributed_type.value == "FSDP"
    assert loaded.fsdp_config["fsdp_sharding_strategy"] == "FULL_SHARD"
    assert loaded.fsdp_config["fsdp_cpu_ram_efficient_loading"] is True


def test_every_setting_has_a_type_that_json_knows() -> None:
    settings = TrainingConfiguration(
        name="a", base_model="b", train=Path("c"), data_licence="d"
    ).model_dump(mode="json")

    assert settings["train"] == "c"
    assert settings["method"] == "qlora"
