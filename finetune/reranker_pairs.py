"""What each step of the cross-encoder's training compares: questions with passages, by group."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from finetune.retrieval_data import HELD_OUT_SUFFIX, WRITTEN, Group


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


def steps(configuration: Configuration, groups: Sequence[Group]) -> Iterator[list[Pair]]:
    """The pairs of each step, endless and repeatable."""
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
