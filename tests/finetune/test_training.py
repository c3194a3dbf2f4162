"""The real training on a model made here: NF4, LoRA, TRL's loop, checkpoints, resuming."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from finetune.configuration import Method, Optimizer, Targets, TrainingConfiguration
from finetune.errors import ConfigurationError, ExamplesError, TrainingError
from finetune.run_folder import RunFolder
from finetune.training import Trained, train
from tests.conftest import ROOT
from tests.finetune.tiny_model import answers, load_base, save_tiny_model, write_examples

pytest.importorskip("trl", reason="the extra `train` is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

ANSWER = "Aye aye."
WEIGHTS = "adapter_model.safetensors"
STEPS = 16


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_examples(tmp_path_factory.mktemp("data") / "examples.jsonl", answer=ANSWER)


def configured(base: Path, examples: Path, **changes: Any) -> TrainingConfiguration:
    """QLoRA as it ships, in the size of the model."""
    settings: dict[str, Any] = {
        "name": "tiny",
        "base_model": str(base),
        "train": examples,
        "data_licence": "Apache-2.0",
        "targets": Targets.ALL_LINEAR,
        "max_tokens": 64,
        "batch_size": 4,
        "accumulation": 2,
        "max_steps": STEPS,
        "learning_rate": 1e-2,
        "evaluate_steps": STEPS // 2,
        "optimizer": Optimizer.ADAMW,
        "sample_tokens": 8,
    }
    return TrainingConfiguration(**settings | changes)


@pytest.fixture(scope="module")
def trained(base: Path, examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(configured(base, examples), tmp_path_factory.mktemp("run") / "whole", quiet=True)


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    (file,) = folder.glob("*model.safetensors")
    return load_file(file)


def nf4(base: Path) -> Any:
    """The base as it was trained on."""
    import torch
    from transformers import BitsAndBytesConfig

    return load_base(
        base,
        dtype=torch.float32,
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32,
        ),
        device_map={"": "cpu"},
    )


def test_training_lowers_the_loss_and_says_what_it_came_to(trained: Trained) -> None:
    assert trained.metrics["steps"] == STEPS
    assert trained.metrics["validation_loss"] < trained.metrics["validation_loss_before"] - 0.5
    assert 0 < trained.metrics["trained_parameters"] < trained.metrics["parameters"]
    assert json.loads((trained.folder / "metrics.json").read_text()) == trained.metrics


def test_training_leaves_a_record_curves_and_samples(trained: Trained) -> None:
    record = json.loads((trained.folder / "configuration.json").read_text())
    steps = [json.loads(line) for line in (trained.folder / "log.jsonl").read_text().splitlines()]
    samples = (trained.folder / "samples.jsonl").read_text().splitlines()

    assert record["seed"] == 20261126
    assert len(record["data_sha256"]) == 64
    assert [line["step"] for line in steps if "eval_loss" in line] == [0, STEPS // 2, STEPS]
    assert all(line["memory_mib"] > 0 for line in steps)
    assert "<svg" in (trained.folder / "loss.svg").read_text()
    assert list((trained.folder / "tensorboard").iterdir())
    assert len(samples) == 9  # three prompts, before the first step and twice since
    assert json.loads(samples[-1])["answer"].startswith("Aye")


def test_adapter_is_safetensors_in_32_bit_and_nothing_pickled(trained: Trained) -> None:
    import torch

    assert {value.dtype for value in weights(trained.weights).values()} == {torch.float32}
    assert not [file for file in trained.weights.iterdir() if file.suffix in {".bin", ".pt"}]


def test_adapter_from_disk_changes_what_is_generated_and_gives_the_same_logits(
    base: Path, trained: Trained
) -> None:
    import torch
    from peft import PeftModel

    question = "Question 3 about flight 21?"
    plain = answers(nf4(base), base, question)
    first, second = (PeftModel.from_pretrained(nf4(base), trained.weights) for _ in range(2))
    ids = torch.arange(10, 30)[None]
    with torch.no_grad():
        logits = [model.eval()(input_ids=ids).logits for model in (first, second)]

    assert answers(first, base, question).startswith("Aye")
    assert not plain.startswith("Aye")
    assert torch.equal(*logits)


def stopped_by_signal(base: Path, examples: Path, out: Path) -> None:
    """A run in a process of its own, which SIGTERM reaches in the middle of the second half."""
    from finetune.callbacks import Checkpoints

    step_end = Checkpoints.on_step_end

    def kill(self: Checkpoints, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == STEPS // 2 + 3:
            os.kill(os.getpid(), signal.SIGTERM)
        step_end(self, args, state, control, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "on_step_end", kill)
        with pytest.raises(TrainingError, match=f"stopped after step {STEPS // 2 + 3} of {STEPS}"):
            train(configured(base, examples), out, quiet=True)


def test_resumed_run_gives_the_weights_of_an_uninterrupted_one(
    base: Path, examples: Path, trained: Trained, tmp_path: Path
) -> None:
    import torch

    out = tmp_path / "stopped"
    stopped_by_signal(base, examples, out)
    assert not (out / "adapter").exists()
    resumed = train(configured(base, examples), out, resume=True, quiet=True)
    there, here = weights(trained.weights), weights(resumed.weights)

    assert there.keys() == here.keys()
    assert all(torch.equal(there[name], here[name]) for name in there)
    for name in ("steps", "tokens"):
        assert resumed.metrics[name] == trained.metrics[name]
    assert resumed.metrics["validation_loss_before"] == pytest.approx(
        trained.metrics["validation_loss_before"]
    )


def test_finished_run_is_not_trained_on(base: Path, examples: Path, trained: Trained) -> None:
    before = (trained.weights / "adapter_model.safetensors").read_bytes()
    with pytest.raises(TrainingError, match="is finished"):
        train(configured(base, examples), trained.folder, resume=True, quiet=True)

    assert (trained.weights / "adapter_model.safetensors").read_bytes() == before


@pytest.mark.slow
def test_run_that_ended_but_could_not_save_resumes_to_its_best(
    base: Path, examples: Path, tmp_path: Path
) -> None:
    """It stopped early: no step is taken again."""
    import torch

    settings = configured(
        base, examples, learning_rate=3.0, max_steps=12, evaluate_steps=1, patience=2, samples=0
    )
    whole = train(settings, tmp_path / "run", quiet=True)
    expected = weights(whole.weights)
    shutil.rmtree(whole.weights)
    (tmp_path / "run" / "metrics.json").unlink()
    resumed = train(settings, tmp_path / "run", resume=True, quiet=True)
    found = weights(resumed.weights)

    assert all(torch.equal(found[name], expected[name]) for name in expected)
    for name in ("steps", "validation_loss", "tokens"):
        assert resumed.metrics[name] == whole.metrics[name]


@pytest.mark.slow
def test_log_that_was_cut_off_does_not_stop_a_resumed_run(
    base: Path, examples: Path, tmp_path: Path
) -> None:
    stopped_by_signal(base, examples, tmp_path / "run")
    log = tmp_path / "run" / "log.jsonl"
    log.write_text(log.read_text() + '{"step": 12, "loss"')
    train(configured(base, examples), tmp_path / "run", resume=True, quiet=True)
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]

    assert steps == sorted(steps)
    assert steps[-1] == STEPS


def test_run_in_use_is_refused(base: Path, examples: Path, trained: Trained) -> None:
    with RunFolder(trained.folder).locked(), pytest.raises(TrainingError, match="another process"):
        train(configured(base, examples), trained.folder, resume=True, quiet=True)


def test_resumed_run_over_another_base_is_refused(
    examples: Path, trained: Trained, tmp_path: Path
) -> None:
    other = save_tiny_model(tmp_path / "base", seed=2)
    (trained.folder / "metrics.json").rename(tmp_path / "metrics.json")
    try:
        with pytest.raises(TrainingError, match="base_weights_sha256: "):
            train(configured(other, examples), trained.folder, resume=True, quiet=True)
    finally:
        (tmp_path / "metrics.json").rename(trained.folder / "metrics.json")


def test_context_longer_than_the_base_reads_is_refused(
    base: Path, examples: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="more than the 256 that"):
        train(configured(base, examples, max_tokens=257), tmp_path / "run", quiet=True)


def test_one_step_has_a_learning_rate(base: Path, examples: Path, tmp_path: Path) -> None:
    settings = configured(base, examples, max_steps=1, evaluate_steps=1, samples=0)

    assert train(settings, tmp_path / "run", quiet=True).learned


def test_resumed_run_with_other_settings_is_refused(
    base: Path, examples: Path, trained: Trained, tmp_path: Path
) -> None:
    (trained.folder / "metrics.json").rename(tmp_path / "metrics.json")
    try:
        with pytest.raises(TrainingError, match=r"rank: 16 then, 8 now"):
            train(configured(base, examples, rank=8), trained.folder, resume=True, quiet=True)
    finally:
        (tmp_path / "metrics.json").rename(trained.folder / "metrics.json")


def test_second_run_in_the_same_folder_is_refused(
    base: Path, examples: Path, trained: Trained
) -> None:
    with pytest.raises(TrainingError, match="holds a run already"):
        train(configured(base, examples), trained.folder, quiet=True)


def test_full_fine_tuning_leaves_a_model_that_caches(
    base: Path, examples: Path, tmp_path: Path
) -> None:
    settings = configured(
        base, examples, method=Method.FULL, max_steps=2, evaluate_steps=2, samples=0
    )
    done = train(settings, tmp_path / "run", quiet=True)

    assert json.loads((done.weights / "config.json").read_text())["use_cache"] is True


@pytest.mark.parametrize("method", [Method.LORA, Method.PROMPT_TUNING, Method.FULL])
def test_every_method_trains(method: Method, base: Path, examples: Path, tmp_path: Path) -> None:
    settings = configured(base, examples, method=method, max_steps=4, evaluate_steps=4, samples=0)
    done = train(settings, tmp_path / "run", quiet=True)

    assert done.weights.name == ("model" if method is Method.FULL else "adapter")
    assert done.metrics["validation_loss"] < done.metrics["validation_loss_before"]


@pytest.mark.slow
def test_training_stops_early_and_keeps_the_best(
    base: Path, examples: Path, tmp_path: Path
) -> None:
    """At this rate the loss only rises after the first steps."""
    settings = configured(
        base, examples, learning_rate=3.0, max_steps=12, evaluate_steps=1, patience=2, samples=0
    )
    done = train(settings, tmp_path / "run", quiet=True)
    losses = [
        line["eval_loss"]
        for line in map(json.loads, (tmp_path / "run" / "log.jsonl").read_text().splitlines())
        if "eval_loss" in line and line["step"]
    ]

    best = min(losses)
    (kept,) = (tmp_path / "run" / "checkpoints").glob(f"checkpoint-{losses.index(best) + 1}")

    assert done.metrics["steps"] < 12
    assert done.metrics["validation_loss"] == pytest.approx(best)
    assert (done.weights / WEIGHTS).read_bytes() == (kept / WEIGHTS).read_bytes()


# What cannot be trained.


@pytest.mark.parametrize("count", [0, 42])
def test_too_few_examples_are_refused(count: int, base: Path, tmp_path: Path) -> None:
    few = write_examples(tmp_path / "few.jsonl", count)
    with pytest.raises(ExamplesError, match=r"few\.jsonl") as refused:
        train(configured(base, few), tmp_path / "run", quiet=True)

    assert "retrieval and few-shot prompting" in str(refused.value) or count == 0
    assert not (tmp_path / "run").exists()


def test_few_examples_train_when_forced(base: Path, tmp_path: Path) -> None:
    few = write_examples(tmp_path / "few.jsonl", 42)
    settings = configured(base, few, max_steps=1, evaluate_steps=1, samples=0)

    assert train(settings, tmp_path / "run", force=True, quiet=True).metrics["steps"] == 1


def test_answer_longer_than_the_context_is_refused_by_its_line(base: Path, tmp_path: Path) -> None:
    file = write_examples(tmp_path / "long.jsonl")
    lines = file.read_text().splitlines()
    lines[6] = json.dumps({"input": "Short?", "output": "word " * 40})
    file.write_text("\n".join(lines))
    with pytest.raises(ExamplesError, match=r"line 7: 2\d\d tokens"):
        train(configured(base, file), tmp_path / "run", quiet=True)


def test_base_model_that_does_not_exist_is_refused(examples: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="cannot load base_model"):
        train(configured(tmp_path / "nowhere", examples), tmp_path / "run", quiet=True)

    assert not (tmp_path / "run").exists()


def test_packing_without_flash_attention_is_refused(
    base: Path, examples: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="packing = true needs FlashAttention"):
        train(configured(base, examples, packing=True), tmp_path / "run", quiet=True)


FULL_DISK = """
import resource, sys
from pathlib import Path
from finetune.configuration import load_configuration
from finetune.errors import TrainingError
from finetune.run_folder import RunFolder
from finetune.training import train

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    train(load_configuration(Path(sys.argv[1])), Path(sys.argv[2]), quiet=True)
except TrainingError as error:
    sys.exit(f"refused: {error}")
"""


@pytest.mark.parametrize("kilobytes", [pytest.param(64, marks=pytest.mark.slow), 200])
def test_disk_that_fills_during_a_checkpoint_leaves_nothing_half_written(
    kilobytes: int, base: Path, examples: Path, tmp_path: Path
) -> None:
    """No file may grow further: the adapter's weights have 137 KB, the optimiser's state 280."""
    file = tmp_path / "train.toml"
    file.write_text(
        f'name = "tiny"\nbase_model = "{base}"\ntrain = "{examples}"\ndata_licence = "x"\n'
        'targets = "all-linear"\noptimizer = "adamw_torch"\nmax_tokens = 64\nmax_steps = 2\n'
        "evaluate_steps = 1\nsamples = 0\n"
    )
    out = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(file), str(out), str(kilobytes * 1024)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "refused: could not write" in done.stderr, done.stderr
    assert "--resume" in done.stderr
    assert not list((out / "checkpoints").glob("checkpoint-*"))
    assert not (out / "adapter").exists()


@pytest.fixture(autouse=True)
def _limits_unchanged() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == before
