"""Do the retrieved passages hold the answer? A probability, from what retrieval already computed.

One similarity floor fails both ways: it refuses good questions in odd words and answers bad ones
that sound right. So several signals are weighed by a logistic model, fitted by
`python -m router.calibrate` on questions with and without an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from retrieval.documents import ScoredPassage
from retrieval.words import content_words
from serving.evidence import PASSAGES_READ, Evidence

Floats = NDArray[np.float32]

FEATURES = (
    "best_passage_cosine",
    "best_unit_cosine",
    "best_unit_score",
    "passage_cosine_lead",
    "best_unit_word_share",
    "best_passage_word_share",
    "all_passages_word_share",
    "bm25_per_word",
    "legs_agree",
    "question_words",
)


class AnswerabilityError(Exception):
    """The stored model is missing, damaged, or made for another embedder."""


def features(
    question: str, passages: Sequence[ScoredPassage], evidence: Sequence[Evidence]
) -> Floats:
    """(len(FEATURES),) signals; passages must not be empty."""
    wanted = content_words(question)
    held = [content_words(hit.passage.searchable) for hit in passages[:PASSAGES_READ]]
    size = max(1, len(wanted))
    cosines = sorted((hit.dense_score or 0.0 for hit in passages), reverse=True)
    best_dense = min(passages, key=lambda hit: hit.dense_rank or 1000)
    best_bm25 = min(passages, key=lambda hit: hit.bm25_rank or 1000)
    same_document = best_dense.passage.document_id == best_bm25.passage.document_id
    values = (
        cosines[0],
        max((item.cosine for item in evidence), default=0.0),
        max((item.score for item in evidence), default=0.0),
        cosines[0] - float(np.mean(cosines[1:] or [0.0])),
        max((item.word_share for item in evidence), default=0.0),
        max(len(wanted & words) / size for words in held),
        len(wanted & frozenset().union(*held)) / size,
        max(hit.bm25_score or 0.0 for hit in passages) / size,
        float(same_document),
        np.log1p(len(wanted)),
    )
    return np.array(values, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Answerability:
    """p = sigmoid(weights · (features - mean) / scale + bias); below `threshold` nothing is said.

    `weights`, `mean` and `scale` have the shape (len(FEATURES),).
    """

    weights: Floats
    mean: Floats
    scale: Floats
    bias: float
    threshold: float
    embedder: str

    def score(
        self, question: str, passages: Sequence[ScoredPassage], evidence: Sequence[Evidence]
    ) -> float:
        """Probability in [0, 1] that the passages hold the answer; 0 without any passage."""
        if not passages:
            return 0.0
        return float(self.probabilities(features(question, passages, evidence)[np.newaxis])[0])

    def probabilities(self, values: Floats) -> Floats:
        """(n, len(FEATURES)) signals -> (n,) probabilities."""
        logits = ((values - self.mean) / self.scale) @ self.weights + self.bias  # (n,)
        probabilities: Floats = (1 / (1 + np.exp(-logits))).astype(np.float32)
        return probabilities

    def save(self, path: Path) -> None:
        """Write plain arrays as safetensors, settings in its metadata."""
        from safetensors.numpy import save_file

        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".tmp")
        arrays = {
            name: np.ascontiguousarray(getattr(self, name)) for name in ("weights", "mean", "scale")
        }
        metadata = {
            "bias": repr(self.bias),
            "threshold": repr(self.threshold),
            "embedder": self.embedder,
            "features": " ".join(FEATURES),
        }
        save_file(arrays, scratch, metadata=metadata)
        scratch.replace(path)

    @classmethod
    def load(cls, path: Path, *, embedder: str) -> Self:
        """Read a model and check that it fits.

        Raises:
            AnswerabilityError: missing, damaged, other features, or another embedder's scores.
        """
        from safetensors import SafetensorError, safe_open

        remedy = "run `python -m router.calibrate` with this embedder"
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                arrays = {name: file.get_tensor(name) for name in ("weights", "mean", "scale")}
            model = cls(
                **arrays,
                bias=float(metadata["bias"]),
                threshold=float(metadata["threshold"]),
                embedder=metadata["embedder"],
            )
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise AnswerabilityError(f"cannot read {path}: {error}; {remedy}") from error
        if metadata.get("features") != " ".join(FEATURES):
            raise AnswerabilityError(f"{path} was fitted on other signals; {remedy}")
        if model.embedder != embedder:
            raise AnswerabilityError(
                f"{path} was fitted on {model.embedder!r}, the embedder is {embedder!r}; {remedy}"
            )
        return model
