"""One run of QLoRA on random weights and tokens, with our defaults or with TRL's, measured."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eval.random_model import Build, placeholder_tokenizer, random_model, random_rows
from finetune.configuration import Optimizer, TrainingConfiguration
from finetune.memory_plan import GIB, Load, Recipe
from finetune.model_shapes import Shape

OURS = Recipe()
PLAIN = Recipe(
    adapted=("q", "v"),
    optimizer=Optimizer.ADAMW,
    double_quantization=False,
    stored_bytes=4,
    trained_bytes=2,
)
RECIPES = {
    "ours": OURS,
    "plain": PLAIN,
    "plain-bf16": replace(PLAIN, stored_bytes=2),
    "longest": OURS,
}
WARM_UP_STEPS = 2


@dataclass(frozen=True, slots=True)
class Trial:
    """One measured run: a part's recipe on some load."""

    part: str
    shape: Shape
    load: Load
    steps: int
    device: str
    vram_gib: float
    scratch: Path

    @property
    def recipe(self) -> Recipe:
        """What the part trains with."""
        return RECIPES[self.part]

    @property
    def on_gpu(self) -> bool:
        """Whether memory can be measured, and 16 bit pays."""
        return self.device.startswith("cuda")

    @property
    def build(self) -> Build:
        """The base model; 32 bit on a CPU, which computes that faster."""
        narrow = self.on_gpu and self.recipe.stored_bytes == 2
        return Build(
            device=self.device,
            dtype="bfloat16" if narrow else "float32",
            double_quantization=self.recipe.double_quantization,
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """Peaks are None on a CPU; seconds are those of each step after the first two."""

    loss: float
    step_s: tuple[float, ...]
    allocated_gib: float | None
    reserved_gib: float | None


def measure(trial: Trial) -> Measured:
    """Train `steps` steps on random tokens.

    Raises:
        torch.OutOfMemoryError: more than `vram_gib` was asked for.
    """
    import torch

    model = random_model(trial.shape, trial.build)
    clock = _clock(trial.on_gpu)
    trainer = _trainer(trial, model, clock)
    if trial.on_gpu:
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    loss = trainer.train().training_loss
    return Measured(
        loss=float(loss),
        step_s=tuple(clock.step_s[WARM_UP_STEPS:] or clock.step_s),
        allocated_gib=torch.cuda.max_memory_allocated() / GIB if trial.on_gpu else None,
        reserved_gib=torch.cuda.max_memory_reserved() / GIB if trial.on_gpu else None,
    )


def fits(trial: Trial) -> bool:
    """Whether the trial trains under the allocator's cap."""
    import torch

    trained = True
    try:
        measure(trial)
    except torch.OutOfMemoryError:
        trained = False
    # Only out here is the failed trial's model garbage: the error's traceback held it.
    gc.collect()
    if trial.on_gpu:
        torch.cuda.empty_cache()
    return trained


def _trainer(trial: Trial, model: Any, clock: Any) -> Any:
    """TRL's trainer: with our configuration's values, or with TRL's own."""
    from peft import LoraConfig
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    from finetune.base_model import in_32_bit, trained_part

    ours = trial.recipe is OURS
    lora = None
    if ours:
        model = trained_part(_configuration(trial), model)
    else:
        lora = LoraConfig(task_type="CAUSAL_LM", r=16, lora_alpha=32, lora_dropout=0.05)
    optimizer = OURS.optimizer if trial.on_gpu else Optimizer.ADAMW
    changed: dict[str, Any] = {"optim": optimizer.value, "learning_rate": 2e-4} if ours else {}
    rows = trial.load.batch * trial.steps
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(trial.scratch),
            per_device_train_batch_size=trial.load.batch,
            max_steps=trial.steps,
            max_length=trial.load.max_tokens,
            dataset_kwargs={"skip_prepare_dataset": True},
            bf16=trial.on_gpu,
            use_cpu=not trial.on_gpu,
            dataloader_pin_memory=trial.on_gpu,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            **changed,
        ),
        train_dataset=random_rows(
            trial.shape, rows=rows, tokens=trial.load.max_tokens, seed=trial.build.seed
        ),
        processing_class=placeholder_tokenizer(),
        peft_config=lora,
        callbacks=[clock],
    )
    if ours:
        in_32_bit(trainer.model)
    return trainer


def _configuration(trial: Trial) -> TrainingConfiguration:
    """The defaults, as a training run has them."""
    return TrainingConfiguration(
        name="measured",
        base_model=trial.shape.name,
        train=Path("random"),
        data_licence="none: random tokens",
    )


def _clock(on_gpu: bool) -> Any:
    """A callback that takes the seconds of each optimiser step, on a GPU to its real end."""
    import torch
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]
        step_s: tuple[float, ...] = ()
        started = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self._wait()
            self.started = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self._wait()
            self.step_s = (*self.step_s, time.perf_counter() - self.started)

        def _wait(self) -> None:
            if on_gpu:
                torch.cuda.synchronize()

    return Clock()
