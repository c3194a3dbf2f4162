"""The `Store` seam: where passages are kept and found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from retrieval.documents import Document, Passage, Scope, ScoredPassage
from retrieval.embedding import Vectors


class Store(Protocol):
    """Dense vectors and BM25 over the same passages, fused inside the engine."""

    def search(
        self, text: str, vector: Vectors | None, *, scope: Scope, limit: int
    ) -> list[ScoredPassage]:
        """Best first. Without a vector, BM25 alone ranks. Raises StoreError."""
        ...

    def upsert(self, document: Document, passages: Sequence[Passage], vectors: Vectors) -> None:
        """Add the passages of one generation of a document; durable when it returns."""
        ...

    def delete(self, document_id: str, *, generation: int | None = None) -> None:
        """Remove a document's passages, of one generation or of all."""
        ...

    def count(self) -> int:
        """Number of stored passages."""
        ...

    def close(self) -> None:
        """Flush and release; nothing can be called afterwards."""
        ...
