"""How well the cross-encoder orders passages it was not trained on, and what its scores mean."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from finetune.cross_encoder import CrossEncoder
from finetune.reranker_pairs import Pair
from finetune.retrieval_data import Group

VALIDATED = 200  # held out questions of each source looked at during the run


def validate(encoder: CrossEncoder, held_out: Sequence[Group], *, seed: int) -> str:
    """Of each source: is the best passage right, and the AUC of there being one."""
    sources = sorted({group.source for group in held_out})
    return "; ".join(
        _validated(
            encoder, source, [group for group in held_out if group.source == source], seed=seed
        )
        for source in sources
    )


def calibrated(encoder: CrossEncoder, held_out: Sequence[Group]) -> dict[str, float]:
    """Slope and intercept that turn logits into probabilities of relevance (Platt 1999)."""
    from sklearn.linear_model import LogisticRegression

    pairs, scores = _judged(encoder, held_out)
    fitted = LogisticRegression(C=1e6).fit(scores[:, np.newaxis], [pair.answers for pair in pairs])
    return {"slope": float(fitted.coef_[0, 0]), "intercept": float(fitted.intercept_[0])}


def _validated(encoder: CrossEncoder, source: str, groups: Sequence[Group], *, seed: int) -> str:
    from sklearn.metrics import roc_auc_score

    rng = random.Random(seed)
    groups = rng.sample(list(groups), min(len(groups), VALIDATED))
    pairs, scores = _judged(encoder, groups)
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


def _judged(
    encoder: CrossEncoder, groups: Sequence[Group]
) -> tuple[list[Pair], NDArray[np.float32]]:
    """The pairs of each group with its nearest negatives, and their logits, (pairs,)."""
    pairs = [
        Pair(group.question, passage, answers=place == 0 and group.positive is not None, group=n)
        for n, group in enumerate(groups)
        for place, passage in enumerate((*filter(None, [group.positive]), *group.negatives[:4]))
    ]
    return pairs, encoder.judged(pairs)
