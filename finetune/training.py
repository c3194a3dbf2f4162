"""One run: examples -> an adapter, or with the method `full` a model.

TRL's `SFTTrainer` has the loop. What stands around it here: labels on the answers alone, a split
that keeps equal prompts together, trained weights in 32 bit, checkpoints that are whole or not
there, a resumed run that gives the weights of an uninterrupted one, and a record of everything.
"""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune import checkpoints
from finetune.base_model import (
    count_parameters,
    in_32_bit,
    load_base,
    load_tokenizer,
    on_gpu,
    trained_part,
)
from finetune.configuration import TrainingConfiguration
from finetune.encoding import Encoded, encode_all
from finetune.errors import ConfigurationError, ExamplesError, TrainingError
from finetune.example_files import read_examples
from finetune.run_folder import (
    ADAPTER,
    LOG,
    METRICS,
    MODEL,
    SAMPLES,
    TENSORBOARD,
    RunFolder,
    record_of,
    sha256_of,
)
from finetune.split import split

LEAST_EXAMPLES = 100
EVALUATIONS = 10  # of a run, unless it says how often
LOGS = 50
KEPT_CHECKPOINTS = 2  # beside the best

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished run: where its weights lie, and what it came to."""

    folder: Path
    weights: Path
    data_sha256: str
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class Data:
    """Encoded examples of both sides, and the files' hash."""

    training: list[Encoded]
    validation: list[Encoded]
    sha256: str


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
    with _Loop(configuration, folder, model, tokenizer, data, quiet=quiet).opened() as loop:
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


class _Loop:
    """The trainer and what listens to it."""

    def __init__(
        self,
        configuration: TrainingConfiguration,
        folder: RunFolder,
        model: Any,
        tokenizer: Any,
        data: Data,
        *,
        quiet: bool,
    ) -> None:
        from torch.utils.tensorboard import SummaryWriter
        from transformers import EarlyStoppingCallback, PrinterCallback
        from transformers.integrations import TensorBoardCallback
        from trl import SFTTrainer

        from finetune.callbacks import Checkpoints, History, Samples

        self._folder = folder
        self._checkpoints = Checkpoints()
        tokens = sum(len(each.input_ids) for each in data.training) / len(data.training)
        per_step = configuration.batch_size * configuration.accumulation
        self._history = History(folder.path / LOG, tokens * per_step, quiet=quiet)
        steps = _steps(configuration, len(data.training))
        prompts = [
            each.input_ids[: each.prompt_tokens]
            for each in data.validation[: configuration.samples]
        ]
        self._writer = SummaryWriter(str(folder.path / TENSORBOARD))
        self._trainer = SFTTrainer(
            model=model,
            args=_arguments(configuration, folder, steps),
            train_dataset=_dataset(data.training),
            eval_dataset=_dataset(data.validation),
            processing_class=tokenizer,
            callbacks=[
                Samples(
                    folder.path / SAMPLES,
                    tokenizer,
                    prompts,
                    max_new_tokens=configuration.sample_tokens,
                ),
                EarlyStoppingCallback(early_stopping_patience=configuration.patience),
                TensorBoardCallback(self._writer),
                self._history,
                self._checkpoints,
            ],
        )
        self._trainer.remove_callback(PrinterCallback)  # ours says it
        if configuration.method.makes_adapter:
            in_32_bit(model)
        self._steps = steps

    @contextmanager
    def opened(self) -> Iterator[_Loop]:
        """Ends what runs beside the loop, however it ends."""
        try:
            yield self
        finally:
            self._history.close()
            self._writer.close()

    def run(self, checkpoint: Path | None) -> dict[str, float]:
        """Raises TrainingError when it could not go to the end."""
        import torch
        from safetensors import SafetensorError

        started = time.perf_counter()
        try:
            with self._checkpoints.stopping_on_signals():
                before = self._loss_before(checkpoint)
                self._trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        except torch.cuda.OutOfMemoryError as error:
            raise TrainingError(
                f"the GPU's memory is full: {str(error).splitlines()[0]} `twofold train plan` says "
                "what fits; halve batch_size and double accumulation, or lower max_tokens"
            ) from error
        except (OSError, SafetensorError) as error:
            checkpoints.remove_broken(self._folder.checkpoints)
            raise TrainingError(
                f"could not write a checkpoint below {self._folder.path}: {error}; nothing of it "
                f"is left. Make room, then go on with --resume{self._where_from()}"
            ) from error
        state = self._trainer.state
        if self._checkpoints.stopped and state.global_step < self._steps:
            raise TrainingError(
                f"stopped after step {state.global_step} of {self._steps}; --resume goes on"
            )
        return {
            "steps": state.global_step,
            "validation_loss_before": before,
            "validation_loss": float(state.best_metric),
            "seconds": time.perf_counter() - started,
            "tokens": float(state.num_input_tokens_seen),
        }

    def _loss_before(self, checkpoint: Path | None) -> float:
        """The validation loss of the untrained weights; a resumed run has it in its log."""
        if checkpoint:
            return next(line["eval_loss"] for line in self._folder.log() if "eval_loss" in line)
        return float(self._trainer.evaluate()["eval_loss"])

    def _where_from(self) -> str:
        found = checkpoints.newest(self._folder.checkpoints)
        return f" (from step {found.name.partition('-')[2]})" if found else " (from the start)"


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
    if len(examples) < LEAST_EXAMPLES and not force:
        raise ExamplesError(
            f"{configuration.train} holds {len(examples)} examples, and under {LEAST_EXAMPLES} are "
            "not enough: use retrieval and few-shot prompting, or collect more; --force trains "
            "all the same"
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


def _arguments(configuration: TrainingConfiguration, folder: RunFolder, steps: int) -> Any:
    from trl import SFTConfig

    every = configuration.evaluate_steps or max(1, math.ceil(steps / EVALUATIONS))
    return SFTConfig(
        output_dir=str(folder.checkpoints),
        max_steps=steps,
        per_device_train_batch_size=configuration.batch_size,
        per_device_eval_batch_size=configuration.batch_size,
        gradient_accumulation_steps=configuration.accumulation,
        learning_rate=configuration.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=math.ceil(configuration.warmup_rate * steps),
        weight_decay=configuration.weight_decay,
        optim=configuration.optimizer.value,
        gradient_checkpointing=configuration.activation_checkpointing,
        bf16=on_gpu(),
        use_cpu=not on_gpu(),
        dataloader_pin_memory=on_gpu(),
        packing=configuration.packing,
        max_length=configuration.max_tokens,
        dataset_kwargs={"skip_prepare_dataset": not configuration.packing},
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=KEPT_CHECKPOINTS,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        restore_callback_states_from_checkpoint=True,
        include_num_input_tokens_seen="all",
        logging_steps=max(1, steps // LOGS),
        report_to="none",  # ours are among the callbacks
        disable_tqdm=True,
        seed=configuration.seed,
    )


def _steps(configuration: TrainingConfiguration, examples: int) -> int:
    if configuration.max_steps:
        return configuration.max_steps
    per_step = configuration.batch_size * configuration.accumulation
    return max(1, math.ceil(examples / per_step * configuration.epochs))


def _dataset(encoded: Sequence[Encoded]) -> Any:
    from datasets import Dataset

    return Dataset.from_list([each.row() for each in encoded])


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
