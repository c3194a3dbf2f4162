import argparse
import json
from pathlib import Path

import pytest

from finetune.configuration import Method, Targets
from finetune.errors import ConfigurationError
from finetune.time_plan import DEFAULT_GPU
from serving.cli import train_plan


def plan(*words: str) -> int:
    parser = argparse.ArgumentParser()
    train_plan.add_arguments(parser)
    return train_plan.run(parser.parse_args(words))


def test_plan_shows_terms_choice_and_length(capsys: pytest.CaptureFixture[str]) -> None:
    assert plan("Qwen/Qwen3-8B", "--batch", "2", "--max-tokens", "2048") == 0

    said = capsys.readouterr().out
    assert "linear layers, NF4" in said
    assert "batch_size = 2, accumulation = 8, max_tokens = 2048" in said
    assert "Longest that fits with batch 2" in said


def test_plan_with_examples_states_steps_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    plan("Qwen/Qwen3-4B", "--examples", "800", "--mean-tokens", "250", "--gpu", "RTX 4090")
    assert "800 examples, 3 epochs: 150 steps," in capsys.readouterr().out


def test_plan_that_does_not_fit_exits_1_and_says_what_would(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert plan("Llama-3.1-8B", "--method", "full") == 1

    said = capsys.readouterr().out
    assert "Does not fit 24 GiB" in said
    assert "qlora instead of full" in said


def test_plan_writes_every_figure(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    plan("Llama-3.1-8B", "--max-tokens", "1024", "--json", str(file))

    record = json.loads(file.read_text(encoding="utf-8"))
    assert record["fits"] is True
    assert record["batch_size"] * record["accumulation"] == 16
    assert record["memory"]["total_gib"] <= 24
    assert record["time"]["tokens_per_s"] > 0


def test_length_beyond_the_context_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="reads at most 40,960 tokens"):
        plan("Qwen/Qwen3-8B", "--max-tokens", "50000")


def test_unknown_gpu_is_refused_even_when_nothing_fits() -> None:
    with pytest.raises(ConfigurationError, match="'abacus'"):
        plan("Qwen/Qwen3-8B", "--method", "full", "--gpu", "abacus")


@pytest.mark.parametrize("words", [("--vram-gib", "0"), ("--epochs", "nan"), ("--batch", "0")])
def test_numbers_that_make_no_sense_are_wrong_usage(words: tuple[str, str]) -> None:
    with pytest.raises(SystemExit):
        plan("Qwen/Qwen3-8B", *words)


def test_choices_are_those_of_a_training_configuration() -> None:
    # Spelled out in the command, so that `--help` need not import the configuration.
    assert set(train_plan.METHODS) == set(Method)
    assert set(train_plan.TARGETS) == set(Targets)
    assert train_plan.DEFAULT_GPU == DEFAULT_GPU
