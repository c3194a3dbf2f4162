"""One run: examples -> an adapter, or with the method `full` a model.

TRL's `SFTTrainer` has the loop. What stands around it here: labels on the answers alone, a split
that keeps equal prompts together, trained weights in 32 bit, checkpoints that are whole or not
there, a resumed run that gives the weights of an uninterrupted one, and a record of everything.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune import checkpoints
from finetune.base_model import (
    count_parameters,
    load_base,
    load_tokenizer,
    on_gpu,
    trained_part,
)
from finetune.configuration import TrainingConfiguration
from finetune.encoding import encode_all
from finetune.errors import ConfigurationError, ExamplesError, TrainingError
from finetune.example_files import read_examples
from finetune.run_folder import (
    ADAPTER,
    METRICS,
    MODEL,
    RunFolder,
    record_of,
    sha256_of,
)
from finetune.split import split
from finetune.training_loop import Data, Loop
from finetune.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished run: where its weights lie, and what it came to."""

    folder: Path
    weights: Path
    data_sha256: str
    metrics: dict[str, float]


def train(
    configuration: TrainingConfiguration,
    out: Path,
    *,
    resume: bool = False,
    force: bool = False,
    quiet: bool = False,
) -> Trained:
    """Train to the end, or until early stopping; the best checkpoint's weights are kept.

    `force` trains on fewer than 100 examples. `resume` goes on from the last whole checkpoint.

    Raises:
        ConfigurationError: something is asked for that this machine lacks.
        ExamplesError: too few, broken or too long examples.
        TrainingError: no base model, no room, or stopped; what is whole stays, to be resumed.
    """
    from transformers.utils.logging import disable_progress_bar

    # 1. What can be wrong, before the time that weights take.
    _check_machine(configuration)
    tokenizer = load_tokenizer(configuration)
    data = _data(configuration, tokenizer, force=force)
    folder = RunFolder(out)
    record = record_of(configuration, data.sha256)
    folder.check_same(record) if resume else folder.begin(record)
    checkpoints.remove_broken(folder.checkpoints)

    # 2. The loop.
    disable_progress_bar()  # those of loading and saving
    model = trained_part(configuration, load_base(configuration))
    with Loop(configuration, folder, model, tokenizer, data, quiet=quiet).opened() as loop:
        metrics = loop.run(checkpoints.newest(folder.checkpoints) if resume else None)

    # 3. What stays.
    weights = _save(
        model, tokenizer, out / (ADAPTER if configuration.method.makes_adapter else MODEL)
    )
    trained, total = count_parameters(model)
    metrics |= {"trained_parameters": trained, "parameters": total}
    folder.write(METRICS, metrics)
    folder.draw_losses()
    return Trained(out, weights, data.sha256, metrics)


def _data(configuration: TrainingConfiguration, tokenizer: Any, *, force: bool) -> Data:
    examples = read_examples(configuration.train)
    files = [configuration.train]
    if configuration.validation:
        training, validation = examples, read_examples(configuration.validation)
        files.append(configuration.validation)
    else:
        training, validation = split(
            examples, validation_rate=configuration.validation_rate, seed=configuration.seed
        )
    verdict = Verdict.of(len(examples))
    if not verdict.enough and not force:
        raise ExamplesError(
            f"{configuration.train} holds {len(examples)} examples, {verdict.advice}; --force "
            "trains all the same"
        )
    longest = configuration.max_tokens
    return Data(
        encode_all(training, tokenizer, max_tokens=longest),
        encode_all(validation, tokenizer, max_tokens=longest),
        sha256_of(*files),
    )


def _check_machine(configuration: TrainingConfiguration) -> None:
    if not configuration.packing:
        return
    from transformers.utils import is_flash_attn_2_available

    if not on_gpu() or not is_flash_attn_2_available():
        raise ConfigurationError(
            "packing = true needs FlashAttention on a GPU: without it, the examples of a pack "
            "would read one another; set packing = false"
        )


def _save(model: Any, tokenizer: Any, target: Path) -> Path:
    """Safetensors and the tokenizer; the folder appears whole or not at all."""
    from safetensors import SafetensorError

    scratch = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        shutil.rmtree(target, ignore_errors=True)
        scratch.rename(target)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(scratch, ignore_errors=True)
        raise TrainingError(
            f"could not write the weights to {target}: {error}; make room, then --resume writes "
            "them again"
        ) from error
    return target
