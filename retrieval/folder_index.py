"""An index in a folder of its own, apart from the product's data: for training and measuring."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from retrieval.catalogue import Catalogue
from retrieval.chunking import Chunker
from retrieval.embedding import Embedder
from retrieval.ingest import Ingestor
from retrieval.reranking import Reranking
from retrieval.retriever import HybridRetriever
from retrieval.store import Store


@dataclass(frozen=True, slots=True)
class FolderIndex:
    """What fills the index, what searches it, and where the passages are."""

    ingestor: Ingestor
    retriever: HybridRetriever
    store: Store


@contextmanager
def open_folder_index(
    folder: Path,
    embedder: Embedder,
    *,
    passage_tokens: int,
    language: str = "english",
    reranking: Reranking | None = None,
) -> Iterator[FolderIndex]:
    """Open what lies in the folder, or begin a new index there; reranking.

    Raises:
        StoreError: the folder is in use, or holds an index made with other settings.
    """
    from retrieval.edge_store import EdgeStore
    from retrieval.points import IndexManifest

    manifest = IndexManifest(
        embedder=embedder.name, dimension=embedder.dimension, language=language
    )
    store = EdgeStore(folder / "index", manifest)
    try:
        catalogue = Catalogue(f"sqlite:///{folder}/documents.db")
        try:
            chunker = Chunker(embedder.tokenizer, max_tokens=passage_tokens)
            yield FolderIndex(
                Ingestor(catalogue=catalogue, store=store, embedder=embedder, chunker=chunker),
                HybridRetriever(
                    embedder=embedder,
                    store=store,
                    catalogue=catalogue,
                    reranking=reranking,
                ),
                store,
            )
        finally:
            catalogue.close()
    finally:
        store.close()
