"""The content words of a text, as BM25 sees them: lower-cased, stemmed, without stop words."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import qdrant_edge


def content_words(text: str, *, language: str = "english") -> frozenset[int]:
    """Token ids of the engine's own BM25 tokenizer, each word once."""
    return frozenset(_tokenizer(language).embed_query(text).indices)


@cache
def _tokenizer(language: str) -> qdrant_edge.Bm25:
    import qdrant_edge

    return qdrant_edge.Bm25(qdrant_edge.Bm25Config(language=language))
