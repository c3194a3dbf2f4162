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
from serving.evidence import Evidence

Floats = NDArray[np.float32]

FEATURES = (
    "best_passage_cosine",
    "best_unit_cosine",
    "passage_lead",
    "unit_lead",
    "passage_gap",
    "unit_gap",
    "top_units_cosine",
    "support_spread",
)
TOP_UNITS = 3


class AnswerabilityError(Exception):
    """The stored model is missing, damaged, or made for another embedder."""


def features(passages: Sequence[ScoredPassage], evidence: Sequence[Evidence]) -> Floats:
    """(len(FEATURES),) signals; passages must not be empty.

    An answer stands out: its passage is close to the question, and closer than the others are.
    A lead is the best cosine less the mean of the others', a gap the best less the second; units
    are taken as the best of each passage.
    """
    cosines = np.sort([hit.dense_score or 0.0 for hit in passages])[::-1]  # (passages,)
    best = np.zeros(len(passages))
    for item in evidence:
        best[item.index] = max(best[item.index], item.cosine)
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

    def score(self, passages: Sequence[ScoredPassage], evidence: Sequence[Evidence]) -> float:
        """Probability in [0, 1] that the passages hold the answer; 0 without any passage."""
        if not passages:
            return 0.0
        return float(self.probabilities(features(passages, evidence)[np.newaxis])[0])

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
