"""An index that lasts as long as a `with` block: for training and for measuring."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from retrieval.catalogue import Catalogue
from retrieval.chunking import Chunker
from retrieval.embedding import Embedder
from retrieval.ingest import Ingestor, SourceFile
from retrieval.reranking import Reranker
from retrieval.retriever import HybridRetriever


@contextmanager
def temporary_retriever(
    files: Sequence[SourceFile],
    embedder: Embedder,
    *,
    passage_tokens: int,
    reranker: Reranker | None = None,
) -> Iterator[HybridRetriever]:
    """A retriever over the files, whose index is removed at the end."""
    from retrieval.edge_store import EdgeStore
    from retrieval.points import IndexManifest

    with tempfile.TemporaryDirectory() as folder:
        manifest = IndexManifest(embedder=embedder.name, dimension=embedder.dimension)
        store = EdgeStore(Path(folder) / "index", manifest)
        catalogue = Catalogue(f"sqlite:///{folder}/documents.db")
        chunker = Chunker(embedder.tokenizer, max_tokens=passage_tokens)
        ingestor = Ingestor(catalogue=catalogue, store=store, embedder=embedder, chunker=chunker)
        for file in files:
            ingestor.put(file)
        yield HybridRetriever(
            embedder=embedder, store=store, catalogue=catalogue, reranker=reranker
        )
        store.close()
        catalogue.close()
