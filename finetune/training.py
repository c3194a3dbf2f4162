"""One run: examples -> an adapter, or with the method `full` a model.

TRL's `SFTTrainer` has the loop. What stands around it here: labels on the answers alone, a split
that keeps equal prompts together, trained weights in 32 bit, checkpoints that are whole or not
there, a resumed run that gives the weights of an uninterrupted one, and a record of everything.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
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
    is_first,
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

    @property
    def learned(self) -> bool:
        """Whether the validation loss is below that of the base."""
        return self.metrics["validation_loss"] < self.metrics["validation_loss_before"]


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
    tokenizer = load_tokenizer(configuration)
    _check_machine(configuration)
    data = _data(configuration, tokenizer, force=force)
    folder = RunFolder(out)
    with folder.locked():
        checkpoint = _prepare(folder, record_of(configuration, tokenizer, data.sha256), resume)

        # 2. The loop.
        disable_progress_bar()  # those of loading and saving
        model = trained_part(configuration, load_base(configuration))
        with Loop(configuration, folder, model, tokenizer, data, quiet=quiet).opened() as loop:
            metrics = loop.run(checkpoint)

            # 3. What stays.
            name = ADAPTER if configuration.method.makes_adapter else MODEL
            weights = _save(loop, tokenizer, out / name)
        trained, total = count_parameters(model)
        metrics |= {"trained_parameters": trained, "parameters": total}
        if is_first():
            folder.draw_losses()
            folder.write(METRICS, metrics)
    return Trained(out, weights, data.sha256, metrics)


def _prepare(folder: RunFolder, record: Mapping[str, Any], resume: bool) -> Path | None:
    """The checkpoint that a resumed run goes on from; a new run has none."""
    if not is_first():
        return checkpoints.newest(folder.checkpoints) if resume else None
    if not resume:
        folder.begin(record)
        return None
    folder.check_same(record)
    checkpoints.remove_broken(folder.checkpoints)
    checkpoint = checkpoints.newest(folder.checkpoints)
    folder.forget_after(checkpoints.step_of(checkpoint) if checkpoint else None)
    return checkpoint


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
    """What the base can read, and what packing needs. Raises ConfigurationError."""
    from transformers import AutoConfig
    from transformers.utils import is_flash_attn_2_available

    base = AutoConfig.from_pretrained(
        configuration.base_model, revision=configuration.base_revision
    )
    longest = getattr(base, "max_position_embeddings", None)
    if longest and configuration.max_tokens > longest:
        raise ConfigurationError(
            f"max_tokens = {configuration.max_tokens} is more than the {longest} that "
            f"{configuration.base_model!r} can read; lower it"
        )
    if configuration.packing and not (on_gpu() and is_flash_attn_2_available()):
        raise ConfigurationError(
            "packing = true needs FlashAttention on a GPU: without it, the examples of a pack "
            "would read one another; set packing = false"
        )


def _save(loop: Loop, tokenizer: Any, target: Path) -> Path:
    """Safetensors and the tokenizer; the folder appears whole or not at all."""
    from safetensors import SafetensorError

    scratch = target.with_name(f".{target.name}.tmp")
    if not is_first():
        loop.save(scratch)
        return target
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        loop.save(scratch)
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
