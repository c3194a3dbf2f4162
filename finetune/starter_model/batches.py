"""The mixture that the model is trained on, step by step, as tensors.

Every step draws from its own random numbers, so a resumed run goes on with the same batches
without drawing the earlier ones again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from finetune.encoding import Encoded, encode_all
from finetune.examples import Example
from finetune.starter_model import grounded, published
from finetune.starter_model.drills import drill
from finetune.starter_model.tokenizer import beginning

if TYPE_CHECKING:
    import torch

NO_LIMIT = 1_000_000  # tokens: what is too long for the model is not drawn, instead of an error
POOL = 3  # batches' worth that is drawn, so that a batch holds texts of like length
TEXT_CHARACTERS = 1200  # of a page: about 300 tokens
DRILL_TOKENS = 100
CONTEXT_RATE = 0.25  # share of the tokens outside answers that are learned in a step
SHARES = {"invented": 0.48, "published": 0.30, "text": 0.10, "free": 0.12}


@dataclass(frozen=True, slots=True)
class Sources:
    """What is drawn from besides the invented companies."""

    quoted: Sequence[published.Quoted]
    free: Sequence[Example]
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Batch:
    """`ids` (batch, tokens), padded on the right; the masks say which next tokens are learned.

    `answers` and `context` have the shape (batch, tokens - 1), by the position that predicts.
    """

    ids: torch.Tensor
    answers: torch.Tensor
    context: torch.Tensor


@dataclass(frozen=True, slots=True)
class Mixture:
    """`tokens` in a batch, padding included; the shares of drills and of long conversations."""

    tokens: int
    drill_rate: float = 0.0
    long_rate: float = 0.0


def batch(step: int, sources: Sources, tokenizer: Any, mixture: Mixture, *, seed: int) -> Batch:
    """The step's batch, all of long or all of short conversations."""
    rng = random.Random(f"{seed} {step}")
    long = rng.random() < mixture.long_rate
    drawn: list[Encoded] = []
    size = 0
    while size < POOL * mixture.tokens:
        if rng.random() < mixture.drill_rate:
            each = drill(sources.texts, tokenizer, rng, tokens=DRILL_TOKENS)
        else:
            each = _drawn(sources, tokenizer, rng, long=long)
        if len(each.input_ids) > tokenizer.model_max_length:
            continue
        drawn.append(each)
        size += len(each.input_ids)
    drawn.sort(key=lambda each: len(each.input_ids))
    last = rng.randrange(len(drawn) // POOL, len(drawn) + 1)
    longest = len(drawn[last - 1].input_ids)
    first = max(0, last - max(1, mixture.tokens // longest))
    return _padded(drawn[first:last], tokenizer.pad_token_id, step, seed)


def _drawn(sources: Sources, tokenizer: Any, rng: random.Random, *, long: bool) -> Encoded:
    kind = rng.choices(list(SHARES), list(SHARES.values()))[0]
    if kind == "text":
        text = rng.choice(sources.texts)
        start = rng.randrange(max(1, len(text) - TEXT_CHARACTERS))
        length = TEXT_CHARACTERS if long else TEXT_CHARACTERS // 2
        ids = [beginning(tokenizer), *tokenizer(text[start : start + length])["input_ids"]]
        return Encoded(0, tuple(ids), 0)
    draw: Callable[[], Example] = {
        "invented": lambda: grounded.example(rng, long=long),
        "published": lambda: published.grounded(sources.quoted, rng, long=long),
        "free": lambda: rng.choice(sources.free),
    }[kind]
    return encode_all([draw()], tokenizer, max_tokens=NO_LIMIT)[0]


def _padded(rows: Sequence[Encoded], padding: int, step: int, seed: int) -> Batch:
    import torch

    width = max(len(row.input_ids) for row in rows)
    ids = torch.full((len(rows), width), padding)
    answers = torch.zeros((len(rows), width - 1), dtype=torch.bool)
    inside = torch.zeros((len(rows), width - 1), dtype=torch.bool)
    for place, row in enumerate(rows):
        length = len(row.input_ids)
        ids[place, :length] = torch.tensor(row.input_ids)
        inside[place, : length - 1] = True
        # Pages of plain text have no prompt: all of it counts as context.
        if row.prompt_tokens:
            answers[place, row.prompt_tokens - 1 : length - 1] = True
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
    chosen = torch.rand(inside.shape, generator=generator) < CONTEXT_RATE
    return Batch(ids, answers, inside & ~answers & chosen)
