"""An index that lasts as long as a `with` block: for training and for measuring."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from retrieval.embedding import Embedder
from retrieval.folder_index import open_folder_index
from retrieval.ingest import SourceFile
from retrieval.reranking import Reranking
from retrieval.retriever import HybridRetriever


@contextmanager
def temporary_retriever(
    files: Sequence[SourceFile],
    embedder: Embedder,
    *,
    passage_tokens: int,
    reranking: Reranking | None = None,
) -> Iterator[HybridRetriever]:
    """A retriever over the files, whose index is removed at the end."""
    with (
        tempfile.TemporaryDirectory() as folder,
        open_folder_index(
            Path(folder),
            embedder,
            passage_tokens=passage_tokens,
            reranking=reranking,
        ) as index,
    ):
        for file in files:
            index.ingestor.put(file)
        yield index.retriever
