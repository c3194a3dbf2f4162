"""An index that lasts as long as a `with` block: for training and for measuring."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from retrieval.embedding import Embedder
from retrieval.folder_index import open_folder_index
from retrieval.ingest import SourceFile
from retrieval.reranking import Reranker
from retrieval.retriever import RERANK_WEIGHT, HybridRetriever


@contextmanager
def temporary_retriever(
    files: Sequence[SourceFile],
    embedder: Embedder,
    *,
    passage_tokens: int,
    reranker: Reranker | None = None,
    rerank_weight: float = RERANK_WEIGHT,
) -> Iterator[HybridRetriever]:
    """A retriever over the files, whose index is removed at the end."""
    with (
        tempfile.TemporaryDirectory() as folder,
        open_folder_index(
            Path(folder),
            embedder,
            passage_tokens=passage_tokens,
            reranker=reranker,
            rerank_weight=rerank_weight,
        ) as index,
    ):
        for file in files:
            index.ingestor.put(file)
        yield index.retriever
