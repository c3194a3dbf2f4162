"""The bundled weights as sentence-transformers runs them: what our exports are held against."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from eval.beir import Dataset
from eval.corpus_index import Pipeline, Track
from eval.errors import EvaluationError
from eval.intervals import Estimate, bootstrap_mean
from eval.paired import Paired, paired_test
from eval.retrieval import Measured, measure
from eval.stages import Stage
from retrieval.documents import Passage
from retrieval.embedding import Embedder, Vectors
from retrieval.onnx_reranker import Calibration
from retrieval.reranking import sigmoid


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights that both models start from, and our adapters that are merged into them."""

    base: Path
    embedder_adapter: Path
    reranker_adapter: Path
    max_tokens: int


def sentence_transformer(weights: Weights) -> Any:
    """A `SentenceTransformer` on the CPU, in 32 bit."""
    from peft import PeftModel
    from sentence_transformers import SentenceTransformer

    model: Any = SentenceTransformer(str(weights.base), device="cpu")
    adapted = PeftModel.from_pretrained(model[0].auto_model, str(weights.embedder_adapter))
    model[0].auto_model = adapted.merge_and_unload()
    model.max_seq_length = weights.max_tokens
    return model


def cross_encoder(weights: Weights) -> Any:
    """A `CrossEncoder` on the CPU, in 32 bit."""
    from peft import PeftModel
    from sentence_transformers import CrossEncoder
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    base = str(weights.base)
    plain = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    adapted = PeftModel.from_pretrained(plain, str(weights.reranker_adapter))
    with tempfile.TemporaryDirectory() as folder:
        adapted.merge_and_unload().save_pretrained(folder)
        AutoTokenizer.from_pretrained(base).save_pretrained(folder)
        return CrossEncoder(folder, max_length=weights.max_tokens, device="cpu")


class EncodeEmbedder:
    """`SentenceTransformer.encode` where our export stands otherwise."""

    def __init__(self, weights: Weights, ours: Embedder) -> None:
        self._model = sentence_transformer(weights)
        self.name = f"{ours.name}-fp32"
        self.dimension = ours.dimension
        self.tokenizer = ours.tokenizer  # so that the same passages are cut

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32."""
        return np.asarray(self._model.encode(list(texts), show_progress_bar=False), np.float32)


class PredictReranker:
    """`CrossEncoder.predict` on whole passages, with our calibration."""

    def __init__(self, weights: Weights, calibration: Calibration) -> None:
        self._model = cross_encoder(weights)
        self._calibration = calibration
        self.name = "predict"

    def rerank(
        self, query: str, passages: Sequence[Passage], *, budget_ms: float = math.inf
    ) -> list[float]:
        """Probabilities in (0, 1); the budget is not looked at."""
        import torch

        del budget_ms
        pairs = [(query, passage.searchable) for passage in passages]
        logits = self._model.predict(
            pairs, show_progress_bar=False, activation_fn=torch.nn.Identity()
        )
        slope, intercept = self._calibration.slope, self._calibration.intercept
        return [sigmoid(slope * float(logit) + intercept) for logit in logits]


@dataclass(frozen=True, slots=True)
class Cost:
    """What our export of a model costs on a set: nDCG@10 of the reference, of ours, and between."""

    model: str
    reference: Estimate
    ours: Estimate
    change: Paired

    def record(self) -> dict[str, Any]:
        """For a result file."""
        change = self.change.difference
        return {
            "reference": self.model,
            "reference_ndcg@10": self.reference.value,
            "ours_ndcg@10": self.ours.value,
            "difference": change.value,
            "interval_95": [change.low, change.high],
            "p": self.change.p,
        }


def export_costs(
    dataset: Dataset,
    ours: Pipeline,
    weights: Weights,
    calibration: Calibration,
    *,
    work: Path | None,
    track: Track,
) -> list[Cost]:
    """The dense order beside `encode`, and the reranked order beside `predict`.

    Each is the whole pipeline with one model exchanged. The reranker reads as many passages in both
    and adds to the same fused scores; ours reads windows of them, `predict` the whole.

    Raises:
        EvaluationError: the pipeline reranks nothing, or a part failed.
    """
    if ours.reranking is None:
        raise EvaluationError("without a reranker there is nothing to hold against predict")
    found = measure(dataset, ours, work=work, track=track)
    encoded = replace(ours, embedder=EncodeEmbedder(weights, ours.embedder), reranking=None)
    dense = measure(dataset, encoded, work=work, track=track)
    predict = replace(ours.reranking, reranker=PredictReranker(weights, calibration))
    reranked = measure(dataset, replace(ours, reranking=predict), work=work, track=track)
    return [
        _cost("SentenceTransformer.encode", Stage.DENSE, dense, found),
        _cost("CrossEncoder.predict", Stage.RERANKED, reranked, found),
    ]


def _cost(model: str, stage: Stage, reference: Measured, ours: Measured) -> Cost:
    theirs, mine = (each.scores[stage]["nDCG@10"] for each in (reference, ours))
    return Cost(
        model, bootstrap_mean([theirs]), bootstrap_mean([mine]), paired_test([mine - theirs])
    )
