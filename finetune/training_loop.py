"""The loop of a run: TRL's trainer with what listens to it, and how it may end."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune import checkpoints
from finetune.base_model import in_32_bit, on_gpu, sharded
from finetune.configuration import TrainingConfiguration
from finetune.encoding import Encoded
from finetune.errors import TrainingError
from finetune.run_folder import LOG, SAMPLES, TENSORBOARD, RunFolder, is_first

EVALUATIONS = 10  # of a run, unless it says how often
LOGS = 50
KEPT_CHECKPOINTS = 2  # beside the best
STATE = "trainer_state.json"


@dataclass(frozen=True, slots=True)
class Data:
    """Encoded examples of both sides, and the files' hash."""

    training: list[Encoded]
    validation: list[Encoded]
    sha256: str


class Loop:
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
        self._model = model
        self._is_adapter = configuration.method.makes_adapter
        self._checkpoints = Checkpoints()
        tokens = sum(len(each.input_ids) for each in data.training) / len(data.training)
        per_step = configuration.batch_size * configuration.accumulation
        lines = folder.log()
        self._history = History(
            folder.path / LOG,
            tokens * per_step,
            quiet=quiet,
            earlier_s=lines[-1]["seconds"] if lines else 0,
        )
        steps = _steps(configuration, len(data.training))
        # Sharded weights cannot answer in one process alone.
        asked = [] if sharded() else data.validation[: configuration.samples]
        prompts = [each.input_ids[: each.prompt_tokens] for each in asked]
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
        if self._is_adapter:
            in_32_bit(model)
        self._steps = steps

    @contextmanager
    def opened(self) -> Iterator[Loop]:
        """Ends what runs beside the loop, however it ends."""
        try:
            yield self
        finally:
            self._history.close()
            self._writer.close()

    def run(self, checkpoint: Path | None) -> dict[str, float]:
        """From a checkpoint or the start to the end.

        Raises:
            TrainingError: it could not go to the end.
        """
        before = self._loss_before(checkpoint)
        with self._checkpoints.stopping_on_signals(), self._failures_told():
            if checkpoint and _is_end(checkpoint, self._steps):
                self._take_best(checkpoint)
            else:
                self._trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        state = self._trainer.state
        if self._checkpoints.stopped and state.global_step < self._steps:
            raise TrainingError(
                f"stopped after step {state.global_step} of {self._steps}; --resume goes on"
            )
        return {
            "steps": state.global_step,
            "validation_loss_before": before,
            "validation_loss": float(state.best_metric),
            "seconds": self._history.seconds,
            "tokens": float(state.num_input_tokens_seen),
        }

    def save(self, folder: Path) -> None:
        """What was trained, as safetensors; the first process writes, others give their shards."""
        self._model.config.use_cache = True  # the trainer had switched it off, for itself
        if not sharded():
            if is_first():
                self._model.save_pretrained(folder)
            return
        self._trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
        self._trainer.save_model(str(folder))
        (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle

    @contextmanager
    def _failures_told(self) -> Iterator[None]:
        import torch
        from safetensors import SafetensorError

        try:
            yield
        except torch.cuda.OutOfMemoryError as error:
            raise TrainingError(
                f"the GPU's memory is full: {str(error).splitlines()[0]} `twofold train plan` says "
                "what fits; halve batch_size and double accumulation, or lower max_tokens"
            ) from error
        except (OSError, SafetensorError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not _is_writing(error):
                raise
            checkpoints.remove_broken(self._folder.checkpoints)
            raise TrainingError(
                f"could not write below {self._folder.path}: {str(error).splitlines()[0]}; nothing "
                f"half-written is left. Make room, then go on with --resume{self._where_from()}"
            ) from error

    def _take_best(self, checkpoint: Path) -> None:
        """For a run that ended, and then could not save: the trainer would take a step more."""
        from transformers import TrainerState

        self._trainer.state = TrainerState.load_from_json(str(checkpoint / STATE))
        self._trainer._load_best_model()

    def _loss_before(self, checkpoint: Path | None) -> float:
        """The validation loss of the base alone; a resumed run has it in its log."""
        if checkpoint:
            return float(
                next(line["eval_loss"] for line in self._folder.log() if "eval_loss" in line)
            )
        with self._model.disable_adapter() if self._is_adapter else nullcontext():
            return float(self._trainer.evaluate()["eval_loss"])

    def _where_from(self) -> str:
        found = checkpoints.newest(self._folder.checkpoints)
        return f" (from step {checkpoints.step_of(found)})" if found else " (from the start)"


def _is_end(checkpoint: Path, steps: int) -> bool:
    """Whether the run was over there: by its steps, or because the loss no longer fell."""
    state = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    early = state["stateful_callbacks"]["EarlyStoppingCallback"]
    waited: int = early["attributes"]["early_stopping_patience_counter"]
    return bool(state["global_step"] >= steps or waited >= early["args"]["early_stopping_patience"])


def _is_writing(error: RuntimeError) -> bool:
    """torch.save has no error of its own for a full disk."""
    return any(word in str(error) for word in ("inline_container", "iostream"))


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
        warmup_steps=min(math.ceil(configuration.warmup_rate * steps), steps - 1),
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
        include_num_input_tokens_seen="non_padding",
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
