"""The loop around a loss: optimiser, schedule, checkpoints, and what people see meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

BASE_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
CHECKPOINT_STEPS = 50
CHECKPOINT = "checkpoint.pt"

Batch = TypeVar("Batch")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Learning rate: linear warm-up over a share of the steps, then linear to zero."""

    steps: int
    learning_rate: float
    warmup_share: float = 0.1

    def factor(self, step: int) -> float:
        """Share of the learning rate at a step, from 0."""
        warmup = max(1, int(self.steps * self.warmup_share))
        if step < warmup:
            return (step + 1) / warmup
        return max(0.0, (self.steps - step) / (self.steps - warmup))


@dataclass(frozen=True, slots=True)
class Objective(Generic[Batch]):
    """What is minimised, and what is said about the weights now and then."""

    loss_of: Callable[[Batch], Any]
    validate: Callable[[], str] | None = None


def run(
    model: Any,
    objective: Objective[Batch],
    batches: Iterable[Batch],
    schedule: Schedule,
    out: Path,
    *,
    resume: bool = False,
) -> None:
    """Train the parameters that require gradients, for `schedule.steps` steps.

    The batches must come in the same order every time: a resumed run skips those it has seen.
    """
    import torch

    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=schedule.learning_rate, weight_decay=0.01)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule.factor)
    first = _restore(out, model, optimizer, rate) if resume else 0
    started = time.perf_counter()
    for step, batch in enumerate(batches, start=1):
        if step > schedule.steps:
            break
        if step <= first:
            continue
        loss = objective.loss_of(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        rate.step()
        optimizer.zero_grad()
        pace_s = (time.perf_counter() - started) / (step - first)
        logger.info(
            "step %d/%d  loss %.4f  %.1f s a step, %.0f min left",
            step,
            schedule.steps,
            loss.item(),
            pace_s,
            pace_s * (schedule.steps - step) / 60,
        )
        if step % CHECKPOINT_STEPS == 0:
            _checkpoint(out, step, model, optimizer, rate)
            if objective.validate is not None:
                logger.info("%s", objective.validate())


def save_adapter(model: Any, folder: Path) -> None:
    """Half precision, and no path of this machine in the configuration."""
    import torch

    model.peft_config["default"].base_model_name_or_path = BASE_MODEL
    model.to(torch.float16).save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's template; the model card is ours
    (folder / "adapter_model.safetensors").chmod(0o644)


def _checkpoint(out: Path, step: int, model: Any, optimizer: Any, rate: Any) -> None:
    import torch
    from peft import get_peft_model_state_dict

    scratch = out / f"{CHECKPOINT}.tmp"
    state = {
        "step": step,
        "adapter": get_peft_model_state_dict(model, save_embedding_layers=False),
        "optimizer": optimizer.state_dict(),
        "schedule": rate.state_dict(),
        "rng": torch.get_rng_state(),
    }
    torch.save(state, scratch)
    scratch.replace(out / CHECKPOINT)


def _restore(out: Path, model: Any, optimizer: Any, rate: Any) -> int:
    import torch
    from peft import set_peft_model_state_dict

    path = out / CHECKPOINT
    if not path.is_file():
        return 0
    saved = torch.load(path, weights_only=True)  # tensors only: nothing is unpickled
    set_peft_model_state_dict(model, saved["adapter"])
    optimizer.load_state_dict(saved["optimizer"])
    rate.load_state_dict(saved["schedule"])
    torch.set_rng_state(saved["rng"])
    return int(saved["step"])
