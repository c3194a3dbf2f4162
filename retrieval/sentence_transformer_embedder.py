"""Any sentence-transformers model by name or folder, on the GPU when there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from retrieval.embedding import Vectors
from retrieval.errors import EmbeddingError

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class SentenceTransformerEmbedder:
    """`model_name` is a hub name or a folder on disk."""

    def __init__(self, model_name: str, *, batch_size: int = 32) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise EmbeddingError(
                "embedder models by name need the extra: pip install 'twofold[models]'"
            ) from error
        try:
            self._model = SentenceTransformer(model_name)
        except (OSError, ValueError) as error:
            raise EmbeddingError(
                f"cannot load embedder {model_name!r}: {error}; give a folder that holds a "
                "sentence-transformers model, or a hub name where a network is available"
            ) from error
        dimension = self._model.get_embedding_dimension()
        if dimension is None:
            raise EmbeddingError(f"embedder {model_name!r} does not say its dimension")
        self.dimension = int(dimension)
        self.name = f"sentence-transformers/{model_name}"
        self._batch_size = batch_size

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's fast tokenizer."""
        tokenizer: Tokenizer = self._model.tokenizer.backend_tokenizer
        return tokenizer

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32 unit vectors."""
        vectors = self._model.encode(
            list(texts),
            batch_size=self._batch_size,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return np.asarray(vectors, dtype=np.float32).reshape(len(texts), self.dimension)
