"""The `Embedder` seam: texts -> unit vectors, and a deterministic one for tests."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """What chunking, ingesting and searching need of an embedding model."""

    @property
    def name(self) -> str:
        """Identifies model and precision; stored with the index, which fits no other."""
        ...

    @property
    def dimension(self) -> int:
        """Length d of a vector."""
        ...

    @property
    def tokenizer(self) -> Tokenizer:
        """Counts tokens when documents are cut into passages."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32, rows of length 1. Raises EmbeddingError when the model cannot run."""
        ...


class HashEmbedder:
    """Bag of hashed words: no weights, no download, the same vectors everywhere. For tests."""

    name = "hash"

    def __init__(self, dimension: int = 64) -> None:
        self.dimension = dimension

    @property
    def tokenizer(self) -> Tokenizer:
        """Words and punctuation marks."""
        from tokenizers import Tokenizer, models, pre_tokenizers

        tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        return tokenizer

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, d): each word adds 1 to the dimension that its hash names."""
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                digest = hashlib.blake2b(word.encode(), digest_size=4).digest()
                vectors[row, int.from_bytes(digest, "big") % self.dimension] += 1
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: Vectors = (vectors / np.maximum(lengths, 1e-9)).astype(np.float32)
        return unit
