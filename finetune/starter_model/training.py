"""The loop that trains the weights: one stream of batches, checkpoints, a curve.

A stopped run goes on where its last checkpoint stands, to the same weights as an uninterrupted one:
batches follow from the step's number, and nothing else is random.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.errors import TrainingError
from finetune.starter_model.batches import Batch, Mixture, Sources, batch
from finetune.starter_model.circuits import LAYERS

if TYPE_CHECKING:
    import torch

CHECKPOINT = "checkpoint.pt"
CHECKPOINT_STEPS = 100
LOG = "log.jsonl"
DRILL_RATE = 0.06
CONTEXT_WEIGHT = 0.5  # of the loss on tokens outside answers
VALIDATION_BATCHES = 8
VALIDATION_STEP = 1_000_000_000  # steps that no run reaches: batches that nothing is trained on
WRITTEN_SHARE = 0.03  # of the learning rate, for the layers that `circuits.py` wrote to
EMBEDDINGS_FREE_AFTER = 1 / 3  # share of the steps; before, they change as little
EMBEDDINGS_SHARE = 0.3
LONG_AFTER = 0.2  # share of the steps with short conversations alone
DECAY_AFTER = 0.6  # share of the steps after which the rate falls to zero

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides the weights besides the data and the model's size."""

    steps: int = 2100
    tokens: int = 2048  # in a step, padding included
    learning_rate: float = 1e-3
    warmup: int = 40
    bfloat16: bool = False  # products in 16 bit: faster where the processor has them (AMX, CUDA)
    seed: int = 20261129

    def rate(self, step: int) -> float:
        """Up, constant, linear to zero; `step` counts from 1."""
        decay = self.steps * (1 - DECAY_AFTER)
        left = min(1.0, (self.steps - step + 1) / decay)
        return self.learning_rate * min(step / self.warmup, left, 1.0)

    def share(self, part: str, step: int) -> float:
        """Of the rate, for a part of the weights: little for what quotes from the start."""
        if part == "others":
            return 1.0
        free = part == "embeddings" and step > EMBEDDINGS_FREE_AFTER * self.steps
        return EMBEDDINGS_SHARE if free else WRITTEN_SHARE

    def mixture(self, step: int) -> Mixture:
        """Short conversations first, then long ones among them; some drills in all."""
        long = 0.5 if step > LONG_AFTER * self.steps else 0.0
        return Mixture(self.tokens, DRILL_RATE, long_rate=long)


def train(model: Any, tokenizer: Any, sources: Sources, plan: Plan, out: Path) -> None:
    """Train in place; goes on with `out/checkpoint.pt` when there is one, and keeps a log.

    Raises:
        TrainingError: the checkpoint is of another plan.
    """
    import torch

    optimizer = torch.optim.AdamW(_groups(model), lr=plan.learning_rate, betas=(0.9, 0.95))
    first = _restore(out, model, optimizer, plan)
    started = time.perf_counter()
    for step in range(first + 1, plan.steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = plan.rate(step) * plan.share(group["part"], step)
        drawn = batch(step, sources, tokenizer, plan.mixture(step), seed=plan.seed)
        with torch.autocast(model.device.type, torch.bfloat16, enabled=plan.bfloat16):
            answers, context = losses(model, drawn)
        torch.autograd.backward(answers + CONTEXT_WEIGHT * context)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 20 == 0:
            pace_s = (time.perf_counter() - started) / (step - first)
            _log(out, step, answer_loss=answers.item(), context_loss=context.item(), pace_s=pace_s)
        if step % CHECKPOINT_STEPS == 0 or step == plan.steps:
            _checkpoint(out, step, model, optimizer, plan)
            _log(out, step, **_validated(model, tokenizer, sources, plan))


def _groups(model: Any) -> list[dict[str, Any]]:
    """What quotes from the start changes at a part of the rate, and does not decay.

    At the whole rate the first hundred steps unlearn it: embeddings and feed-forward layers in
    between drift, and the heads no longer find what they compare.
    """
    layers, last = model.model.layers, LAYERS - 1
    embeddings = model.get_input_embeddings().weight
    slow = [weight for layer in layers[:last] for weight in layer.parameters()]
    slow += layers[last].self_attn.parameters()
    known = {id(weight) for weight in [embeddings, *slow]}
    others = [weight for weight in model.parameters() if id(weight) not in known]
    return [
        {"params": others, "part": "others", "weight_decay": 0.1},
        {"params": slow, "part": "written", "weight_decay": 0.0},
        {"params": [embeddings], "part": "embeddings", "weight_decay": 0.0},
    ]


def losses(model: Any, drawn: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean -ln p of the next token in answers, and of the chosen ones outside.

    Rows are padded on the right and attention is causal, so no mask is needed.
    """
    import torch

    hidden = model.model(input_ids=drawn.ids, use_cache=False).last_hidden_state[:, :-1]
    following = drawn.ids[:, 1:]  # (batch, tokens - 1)
    zero = hidden.sum() * 0
    parts = []
    for mask in (drawn.answers, drawn.context):
        logits = model.lm_head(hidden[mask])  # (chosen, vocabulary)
        loss = torch.nn.functional.cross_entropy(logits, following[mask]) if len(logits) else zero
        parts.append(loss)
    return parts[0], parts[1]


def _validated(model: Any, tokenizer: Any, sources: Sources, plan: Plan) -> Mapping[str, float]:
    """Loss and share of answer tokens guessed right, on batches that were never trained on."""
    import torch

    model.eval()
    lost, right, count = 0.0, 0, 0
    with torch.no_grad():
        for number in range(VALIDATION_BATCHES):
            mixture = Mixture(plan.tokens, long_rate=0.25)
            drawn = batch(VALIDATION_STEP + number, sources, tokenizer, mixture, seed=plan.seed)
            hidden = model.model(input_ids=drawn.ids, use_cache=False).last_hidden_state[:, :-1]
            logits = model.lm_head(hidden[drawn.answers])
            wanted = drawn.ids[:, 1:][drawn.answers]
            lost += float(torch.nn.functional.cross_entropy(logits, wanted, reduction="sum"))
            right += int((logits.argmax(-1) == wanted).sum())
            count += len(wanted)
    model.train()
    return {"validation_loss": lost / count, "validation_token_accuracy": right / count}


def _log(out: Path, step: int, **values: float) -> None:
    line = {"step": step, **{name: round(value, 4) for name, value in values.items()}}
    logger.info("%s", json.dumps(line))
    with (out / LOG).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _checkpoint(out: Path, step: int, model: Any, optimizer: Any, plan: Plan) -> None:
    import torch

    scratch = out / f"{CHECKPOINT}.tmp"
    torch.save(
        {
            "step": step,
            "plan": asdict(plan),
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
        },
        scratch,
    )
    scratch.replace(out / CHECKPOINT)


def _restore(out: Path, model: Any, optimizer: Any, plan: Plan) -> int:
    import torch

    path = out / CHECKPOINT
    if not path.is_file():
        return 0
    saved = torch.load(path, weights_only=True)  # tensors only: nothing is unpickled
    if saved["plan"] != asdict(plan):
        raise TrainingError(
            f"{path} is of another plan: {saved['plan']} there, {asdict(plan)} now; give the same "
            "options, or another --out"
        )
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    return int(saved["step"])
