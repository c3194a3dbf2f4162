"""Train the embedder of units: which sentence, list item or table row of a passage answers.

    python -m finetune.unit_embedder --out runs/unit-embedder

It goes on from the starter embedder, which knows which passage a question is about. The help
centres in `starter/retrieval/passages.jsonl` say which unit answers each of their questions; a step
takes whole help centres, so that a question's negatives are the other units of its passage, of the
nine beside it and of two other help centres. The loss is InfoNCE in both directions (van den Oord
et al. 2018): a unit must also be nearer to the questions that it answers than to those that nothing
answers.
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

from finetune import bi_encoder
from finetune.encoder_loop import Objective, Schedule, run, save_adapter
from finetune.retrieval_data import help_centres
from serving.sentences import units
from starter.bundle import EMBEDDER_ADAPTER, WrittenPassage

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that decides the weights."""

    steps: int = 150
    learning_rate: float = 3e-4
    organisations_per_batch: int = 3
    questions: int = 2  # of a passage, drawn
    near_misses: int = 2  # of a passage, those written first
    temperature: float = 0.05
    max_tokens: int = 128
    bfloat16: bool = False
    seed: int = 20261129


@dataclass(frozen=True, slots=True)
class Batch:
    """`answers[n]` are places in `units` that answer `questions[n]`; `unanswered` have none."""

    units: tuple[str, ...]
    questions: tuple[str, ...]
    answers: tuple[tuple[int, ...], ...]
    unanswered: tuple[str, ...]


def main() -> None:
    """Train, or go on where the last run stopped, and save the adapter."""
    parser = argparse.ArgumentParser(prog="python -m finetune.unit_embedder", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--steps", type=int, metavar="N", help="default 150")
    parser.add_argument("--bfloat16", action="store_true", help="faster where the processor has it")
    parser.add_argument("--resume", action="store_true", help="from the last checkpoint in --out")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    configuration = Configuration(bfloat16=options.bfloat16)
    if options.steps is not None:
        configuration = replace(configuration, steps=options.steps)
    train(configuration, options.out, resume=options.resume)


def train(
    configuration: Configuration,
    out: Path,
    *,
    start: Path = EMBEDDER_ADAPTER,
    resume: bool = False,
) -> None:
    """Write `out/adapter` (PEFT, safetensors) and `out/configuration.json`."""
    import torch

    torch.manual_seed(configuration.seed)
    out.mkdir(parents=True, exist_ok=True)
    (out / "configuration.json").write_text(json.dumps(asdict(configuration), indent=2) + "\n")
    model, tokenizer = bi_encoder.load(start)
    for module in model.modules():  # on a CPU drawing the masks takes as long as the products
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    held_out = help_centres(trained_on=False)
    run(
        model,
        Objective(
            loss_of=lambda batch: loss(model, tokenizer, batch, configuration),
            validate=lambda: validate(model, tokenizer, held_out, configuration),
        ),
        batches(configuration),
        Schedule(configuration.steps, configuration.learning_rate),
        out,
        resume=resume,
    )
    save_adapter(model, out / "adapter")


def batches(configuration: Configuration) -> Iterator[Batch]:
    """Endless and repeatable: whole help centres, each as often as the others."""
    rng = random.Random(configuration.seed)
    centres = help_centres()
    size = configuration.organisations_per_batch
    while True:
        rng.shuffle(centres)
        for start in range(0, len(centres) - size + 1, size):
            rows = [row for centre in centres[start : start + size] for row in centre]
            yield _batch(rows, rng, configuration)


def _batch(
    rows: Sequence[WrittenPassage], rng: random.Random, configuration: Configuration
) -> Batch:
    texts: list[str] = []
    questions: list[str] = []
    answers: list[tuple[int, ...]] = []
    unanswered: list[str] = []
    for row in rows:
        answered = [
            (question, numbers)
            for question, numbers in zip(row.questions, row.answered_by, strict=True)
            if numbers
        ]
        for question, numbers in rng.sample(answered, min(configuration.questions, len(answered))):
            questions.append(question)
            answers.append(tuple(len(texts) + number - 1 for number in numbers))
        texts += unit_texts(row)
        unanswered += row.unanswered[: configuration.near_misses]
    return Batch(tuple(texts), tuple(questions), tuple(answers), tuple(unanswered))


def unit_texts(row: WrittenPassage) -> list[str]:
    """A passage's units behind its headings, as serving embeds them."""
    return [f"{row.title} > {row.heading}: {unit.text}" for unit in units(row.passage)]


def loss(model: Any, tokenizer: Any, batch: Batch, configuration: Configuration) -> torch.Tensor:
    """Each question nearest to a unit that answers it; those units to it, not to a near miss."""
    import torch

    vectors = _embed(model, tokenizer, batch.units, configuration)
    asked = _embed(model, tokenizer, batch.questions + batch.unanswered, configuration)
    scores = asked @ vectors.T / configuration.temperature  # (questions + unanswered, units)
    own = torch.zeros(scores.shape, dtype=torch.bool)
    for place, answers in enumerate(batch.answers):
        own[place, list(answers)] = True
    count = len(batch.questions)
    answering = own.any(0)  # (units,)
    to_unit = _far_from_own(scores[:count], own[:count])
    to_question = _far_from_own(scores.T[answering], own.T[answering])
    mean: torch.Tensor = (to_unit + to_question) / 2
    return mean


def _far_from_own(scores: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """-ln of the softmax's share that falls on a row's own columns, mean of the rows."""
    kept = scores.masked_fill(~own, float("-inf"))
    mean: torch.Tensor = (scores.logsumexp(1) - kept.logsumexp(1)).mean()
    return mean


def _embed(
    model: Any, tokenizer: Any, texts: Sequence[str], configuration: Configuration
) -> torch.Tensor:
    import torch

    with torch.autocast("cpu", torch.bfloat16, enabled=configuration.bfloat16):
        return bi_encoder.embed(
            model, tokenizer, texts, max_tokens=configuration.max_tokens
        ).float()


def validate(
    model: Any,
    tokenizer: Any,
    centres: Sequence[Sequence[WrittenPassage]],
    configuration: Configuration,
) -> str:
    """Is the nearest unit of the help centre right, that of the passage; AUC of an answer."""
    import torch
    from sklearn.metrics import roc_auc_score

    of_centre, of_passage, nearest, answered = [], [], [], []
    model.eval()
    with torch.no_grad():
        for rows in centres:
            batch = _batch(
                rows,
                random.Random(0),
                replace(configuration, questions=len(rows[0].questions), near_misses=9),
            )
            vectors = _embed(model, tokenizer, batch.units, configuration)
            asked = _embed(model, tokenizer, batch.questions + batch.unanswered, configuration)
            scores = (asked @ vectors.T).numpy()  # (questions + unanswered, units)
            nearest += scores.max(axis=1).tolist()
            answered += [True] * len(batch.questions) + [False] * len(batch.unanswered)
            passage_of = np.repeat(np.arange(len(rows)), [len(unit_texts(row)) for row in rows])
            for own, answers in zip(scores, batch.answers, strict=False):
                of_centre.append(int(own.argmax()) in answers)
                inside = passage_of == passage_of[answers[0]]
                of_passage.append(int(np.where(inside, own, -np.inf).argmax()) in answers)
    model.train()
    return (
        f"of {len(of_centre)} questions the nearest unit answers {np.mean(of_centre):.3f} in the "
        f"help centre, {np.mean(of_passage):.3f} in the passage; AUC answered against unanswered "
        f"{roc_auc_score(answered, nearest):.3f} of {len(answered)}"
    )


if __name__ == "__main__":
    main()
