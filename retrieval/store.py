"""The `Store` seam: where passages are kept and found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from retrieval.documents import Document, Passage, Scope, ScoredPassage
from retrieval.embedding import Vectors


class Store(Protocol):
    """Dense vectors and BM25 over the same passages, fused into one list."""

    def search(
        self, text: str, vector: Vectors | None, *, scope: Scope, limit: int
    ) -> list[ScoredPassage]:
        """Best first. Without a vector, BM25 alone ranks. Raises StoreError."""
        ...

    def upsert(self, document: Document, passages: Sequence[Passage], vectors: Vectors) -> None:
        """Add passages of one generation of a document; they outlast this process."""
        ...

    def delete(self, document_id: str, *, generation: int | None = None) -> None:
        """Remove a document's passages, of one generation or of all."""
        ...

    def flush(self) -> None:
        """Make what was written outlast the machine too; costly, so once for many documents."""
        ...

    def vectors(self, passage_ids: Sequence[str]) -> dict[str, Vectors]:
        """(d,) of those of the passages that are stored, by the text that was embedded."""
        ...

    def count(self) -> int:
        """Number of stored passages."""
        ...

    def counts(self) -> dict[str, int]:
        """Number of stored passages by document id, of all generations together."""
        ...

    def close(self) -> None:
        """Flush and release; nothing can be called afterwards."""
        ...
