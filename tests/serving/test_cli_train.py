"""`twofold train` and `twofold bench finetune`, through the commands themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, environment
from tests.finetune.tiny_model import save_tiny_model, write_examples
from tests.serving.test_cli import run

pytest.importorskip("trl", reason="the extra `train` is not installed")

SETTINGS = """
name = "tiny"
base_model = "base"
train = "examples.jsonl"
data_licence = "Apache-2.0"
targets = "all-linear"
max_tokens = 64
batch_size = 4
accumulation = 2
max_steps = 6
evaluate_steps = 3
learning_rate = 1e-2
optimizer = "adamw_torch"
samples = 1
sample_tokens = 8
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train")
    save_tiny_model(folder / "base")
    write_examples(folder / "examples.jsonl")
    (folder / "train.toml").write_text(SETTINGS)
    return folder / "train.toml"


def command(*words: str | Path, home: Path, models_dir: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, words)],
        env={**environment(home, models_dir), "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_trained_adapter_is_registered_as_a_candidate(
    config: Path, tmp_path: Path, models_dir: Path
) -> None:
    done = command("-m", "finetune.train", "--config", config, home=tmp_path, models_dir=models_dir)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "adapters" / "tiny" / "1"
    manifest = json.loads((folder / "manifest.json").read_text())

    assert done.stderr == ""
    assert "tiny@1 is a candidate" in done.stdout
    assert "validation loss" in done.stdout
    assert (manifest["method"], manifest["state"]) == ("qlora", "candidate")
    assert manifest["training"]["rank"] == 16
    assert manifest["metrics"]["validation_loss"] < manifest["metrics"]["validation_loss_before"]
    assert len(list((tmp_path / "runs").glob("tiny-*"))) == 1
    listed = run("adapters", "list", home=tmp_path)
    assert "tiny" in listed.out
    assert "candidate" in listed.out


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--config",),
        ("--config", "train.toml", "check", "examples.jsonl"),
        ("--config", "train.toml", "plan"),
        ("check",),
        ("plan",),
        ("everything",),
    ],
)
def test_train_without_its_words_in_order_is_wrong_usage(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    ran = run("train", *words, home=tmp_path)

    assert ran.status == 2
    assert "usage: " in ran.err


def test_configuration_that_is_wrong_is_one_message(tmp_path: Path) -> None:
    file = tmp_path / "train.toml"
    file.write_text('name = "x"\nranks = 3\n')
    ran = run("train", "--config", str(file), home=tmp_path)

    assert (ran.status, ran.out) == (1, "")
    assert "ranks: " in ran.err
    assert "Traceback" not in ran.err


def test_nothing_to_resume_is_told(config: Path, tmp_path: Path) -> None:
    ran = run("train", "--config", str(config), "--resume", home=tmp_path)

    assert ran.status == 1
    assert "holds no run of 'tiny' to resume" in ran.err


@pytest.mark.slow
def test_bench_finetune_compares_all_four_methods(
    config: Path, tmp_path: Path, models_dir: Path
) -> None:
    target = tmp_path / "result.json"
    words = ("bench", "finetune", "--config", config, "--out", tmp_path / "runs", "--texts", "8")
    done = command(
        *("-m", "serving.cli.main", *words, "--json", target), home=tmp_path, models_dir=models_dir
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = {each["method"]: each for each in json.loads(target.read_text())["methods"]}

    assert list(found) == ["qlora", "lora", "prompt_tuning", "full"]
    assert found["full"]["trained_rate"] == 1
    assert found["prompt_tuning"]["trained_parameters"] < found["lora"]["trained_parameters"]
    for each in found.values():
        assert each["loss_after"] < each["loss_before"]
        assert each["peak_memory_mib"] > 0
        change = each["general_after"] - each["general_before"]
        assert (change > 0) == (each["forgotten"]["value"] > 0)
    assert done.stdout.count("qlora") == 2  # as it was done, and in the table
