"""Do the retrieved passages hold the answer? A probability, from what retrieval already computed.

One similarity floor fails both ways: it refuses good questions in odd words and answers bad ones
that sound right. So several signals are weighed by a logistic model, fitted by
`python -m router.calibrate` on questions with and without an answer. There are two sets of weights:
one for passages that a reranker has read, and one for when none did.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from retrieval.documents import ScoredPassage
from retrieval.reranking import MAX_LOG_ODDS, log_odds
from serving.evidence import Evidence

Floats = NDArray[np.float32]

SEARCH_SIGNALS = (
    "best_passage_cosine",
    "best_unit_cosine",
    "passage_lead",
    "unit_lead",
    "passage_gap",
    "unit_gap",
    "top_units_cosine",
    "support_spread",
    "best_blend",
    "unexplained",
)
RERANK_SIGNALS = (
    "best_relevance",
    "second_relevance",
    "third_relevance",
    "relevance_of_best_unit",
    "joint_relevance",
)
TOP_UNITS = 3
BLENDED_WORDS = 0.35  # share of the blend that matching words make up

logger = logging.getLogger(__name__)


class AnswerabilityError(Exception):
    """The stored model is missing, damaged, or made for another embedder."""


def search_signals(passages: Sequence[ScoredPassage], evidence: Sequence[Evidence]) -> Floats:
    """(len(SEARCH_SIGNALS),) signals; passages must not be empty.

    An answer stands out: its passage is close to the question, and closer than the others are.
    A lead is the best cosine less the mean of the others', a gap the best less the second; units
    are taken as the best of each passage. The best blend is the highest (1 - w) * cosine + w * word
    share of a unit, w = BLENDED_WORDS: at equal cosines, likeness that rests on the same words is
    worth less. Unexplained is how much of the question's vector lies outside of the plane through
    its two closest units, in [0, 1].
    """
    cosines = np.sort([hit.dense_score or 0.0 for hit in passages])[::-1]  # (passages,)
    best = _best_units(passages, evidence)
    units = np.sort(best)[::-1]  # (passages,)
    support = [(hit.dense_score or 0.0) + unit for hit, unit in zip(passages, best, strict=True)]
    values = (
        cosines[0],
        units[0],
        cosines[0] - (cosines[1:].mean() if len(passages) > 1 else 0.0),
        units[0] - (units[1:].mean() if len(passages) > 1 else 0.0),
        cosines[0] - (cosines[1] if len(passages) > 1 else 0.0),
        units[0] - (units[1] if len(passages) > 1 else 0.0),
        units[:TOP_UNITS].mean(),
        np.std(support),
        max((_blend(item) for item in evidence), default=0.0),
        _unexplained(evidence),
    )
    return np.array(values, dtype=np.float32)


def rerank_signals(passages: Sequence[ScoredPassage], evidence: Sequence[Evidence]) -> Floats:
    """(len(RERANK_SIGNALS),) log odds of relevance; some passage must have been reranked.

    The joint relevance is the log of the summed odds.
    """
    unread = -MAX_LOG_ODDS  # as if it were irrelevant
    odds = np.array(
        [unread if hit.rerank_score is None else log_odds(hit.rerank_score) for hit in passages]
    )  # (passages,)
    best = [*np.sort(odds)[::-1], unread, unread][:3]
    closest = int(_best_units(passages, evidence).argmax())
    values = (*best, odds[closest], np.log(np.exp(odds).sum()))
    return np.array(values, dtype=np.float32)


def _blend(item: Evidence) -> float:
    return (1 - BLENDED_WORDS) * item.cosine + BLENDED_WORDS * item.word_share


def _unexplained(evidence: Sequence[Evidence]) -> float:
    """sqrt(1 - (a^2 + b^2 - 2abc) / (1 - c^2)) for cosines a, b to the question, c to each other.

    Where the two units say the same, the plane is the line of one: sqrt(1 - a^2).
    """
    closest = sorted(evidence, key=lambda item: -item.cosine)[:2]
    if not closest:
        return 1.0
    explained = closest[0].cosine ** 2
    if len(closest) > 1 and abs(closest[1].to_closest) < 0.999:
        a, b, c = closest[0].cosine, closest[1].cosine, closest[1].to_closest
        explained = (a * a + b * b - 2 * a * b * c) / (1 - c * c)
    return math.sqrt(max(0.0, 1 - explained))


def _best_units(passages: Sequence[ScoredPassage], evidence: Sequence[Evidence]) -> Floats:
    best = np.zeros(len(passages), dtype=np.float32)
    for item in evidence:
        best[item.index] = max(best[item.index], item.cosine)
    return best


@dataclass(frozen=True, slots=True)
class Weighing:
    """p = sigmoid(weights · (signals - mean) / scale + bias); below `threshold` nothing is said.

    `weights`, `mean` and `scale` have the shape (signals,).
    """

    weights: Floats
    mean: Floats
    scale: Floats
    bias: float
    threshold: float

    def probabilities(self, signals: Floats) -> Floats:
        """(n, signals) -> (n,)."""
        logits = ((signals - self.mean) / self.scale) @ self.weights + self.bias  # (n,)
        probabilities: Floats = (1 / (1 + np.exp(-logits))).astype(np.float32)
        return probabilities


@dataclass(frozen=True, slots=True)
class Verdict:
    """The probability that the passages hold the answer, and whether that is enough."""

    probability: float
    suffices: bool


@dataclass(frozen=True, slots=True)
class Answerability:
    """`searched` weighs SEARCH_SIGNALS; `reranked` those and RERANK_SIGNALS, in this order.

    The names are those of the models whose scores it was fitted on.
    """

    embedder: str
    searched: Weighing
    reranker: str | None = None
    reranked: Weighing | None = None

    def judge(self, passages: Sequence[ScoredPassage], evidence: Sequence[Evidence]) -> Verdict:
        """Weigh what is known; without any passage there is no answer."""
        if not passages:
            return Verdict(0.0, suffices=False)
        signals, weighing = search_signals(passages, evidence), self.searched
        if self.reranked is not None and any(hit.rerank_score is not None for hit in passages):
            signals = np.concatenate([signals, rerank_signals(passages, evidence)])
            weighing = self.reranked
        probability = float(weighing.probabilities(signals[np.newaxis])[0])
        return Verdict(probability, suffices=probability >= weighing.threshold)

    def save(self, path: Path) -> None:
        """Write plain arrays as safetensors, settings in its metadata."""
        from safetensors.numpy import save_file

        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".tmp")
        arrays: dict[str, Floats] = {}
        metadata = {"embedder": self.embedder, "signals": _signal_names()}
        if self.reranker is not None:
            metadata["reranker"] = self.reranker
        for name, weighing in (("searched", self.searched), ("reranked", self.reranked)):
            if weighing is not None:
                metadata[f"{name}.bias"] = repr(weighing.bias)
                metadata[f"{name}.threshold"] = repr(weighing.threshold)
                for part in ("weights", "mean", "scale"):
                    arrays[f"{name}.{part}"] = np.ascontiguousarray(getattr(weighing, part))
        save_file(arrays, scratch, metadata=metadata)
        scratch.replace(path)

    @classmethod
    def load(cls, path: Path, *, embedder: str, reranker: str | None = None) -> Self:
        """Read a model and check that it fits; weights for another reranker are left out.

        Raises:
            AnswerabilityError: missing, damaged, other signals, or another embedder's scores.
        """
        from safetensors import SafetensorError, safe_open

        remedy = "run `python -m router.calibrate` with this embedder"
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            fitted_on = metadata["embedder"]
            searched = _weighing("searched", arrays, metadata)
            reranked = None
            if "reranker" in metadata and metadata["reranker"] == reranker:
                reranked = _weighing("reranked", arrays, metadata)
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise AnswerabilityError(f"cannot read {path}: {error}; {remedy}") from error
        if metadata.get("signals") != _signal_names():
            raise AnswerabilityError(f"{path} was fitted on other signals; {remedy}")
        if fitted_on != embedder:
            raise AnswerabilityError(
                f"{path} was fitted on {fitted_on!r}, the embedder is {embedder!r}; {remedy}"
            )
        if reranker is not None and reranked is None:
            logger.warning(
                "%s was not fitted on the reranker %r: whether there is an answer is judged by "
                "search alone; to use it, %s",
                path.name,
                reranker,
                remedy,
            )
        return cls(embedder, searched, reranker if reranked else None, reranked)


def _weighing(name: str, arrays: dict[str, Floats], metadata: dict[str, str]) -> Weighing:
    return Weighing(
        weights=arrays[f"{name}.weights"],
        mean=arrays[f"{name}.mean"],
        scale=arrays[f"{name}.scale"],
        bias=float(metadata[f"{name}.bias"]),
        threshold=float(metadata[f"{name}.threshold"]),
    )


def _signal_names() -> str:
    return " ".join((*SEARCH_SIGNALS, *RERANK_SIGNALS))
