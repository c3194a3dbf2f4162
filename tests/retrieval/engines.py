"""The engines behind a `Store`, and documents to put into them."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from retrieval.documents import (
    EVERYONE,
    Document,
    Passage,
    Scope,
    ScoredPassage,
    content_sha256,
    passage_id,
)
from retrieval.edge_store import EdgeStore
from retrieval.embedding import HashEmbedder
from retrieval.points import IndexManifest
from retrieval.qdrant_server import IN_MEMORY, connect
from retrieval.qdrant_store import QdrantStore, drop
from retrieval.store import Store

EMBEDDER = HashEmbedder()
AVG_LEN = 5.0
INDEX = IndexManifest(embedder="hash", dimension=64, avg_len=AVG_LEN)
SERVER_URL = os.environ.get("QDRANT_URL")  # of a real server, which the tests fill and clean up


class Engine(Protocol):
    """One index, to be opened again and again."""

    def open(self, manifest: IndexManifest = INDEX) -> Store:
        """The same index each time."""
        ...

    def leave(self, store: Store) -> None:
        """Let go of an opened store without losing what it holds."""
        ...

    def remove(self) -> None:
        """Clean up after the last store was left."""
        ...


class Edge:
    """A shard in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "index"

    def open(self, manifest: IndexManifest = INDEX) -> Store:
        return EdgeStore(self.folder, manifest)

    def leave(self, store: Store) -> None:
        store.close()

    def remove(self) -> None:
        """The folder is pytest's to clean."""


class QdrantInMemory:
    """The engine inside of qdrant-client; what it holds lasts as long as its client."""

    def __init__(self, folder: Path | None = None) -> None:
        self.client = connect(IN_MEMORY)

    def open(self, manifest: IndexManifest = INDEX) -> Store:
        return QdrantStore(self.client, manifest)

    def leave(self, store: Store) -> None:
        """Closing would lose everything."""

    def remove(self) -> None:
        self.client.close()


class QdrantServer:
    """A collection of its own on the server at QDRANT_URL."""

    def __init__(self, folder: Path | None = None) -> None:
        self.collection = f"twofold-test-{uuid.uuid4()}"

    def open(self, manifest: IndexManifest = INDEX) -> Store:
        return QdrantStore(connect(str(SERVER_URL)), manifest, collection=self.collection)

    def leave(self, store: Store) -> None:
        store.close()

    def remove(self) -> None:
        client = connect(str(SERVER_URL))
        drop(client, self.collection)
        client.close()


ENGINES: dict[str, type[Edge] | type[QdrantInMemory] | type[QdrantServer]] = {
    "edge": Edge,
    "qdrant-in-memory": QdrantInMemory,
    "qdrant-server": QdrantServer,
}


@dataclass(frozen=True, slots=True)
class Place:
    """Whose document it is, and where it lies."""

    tenant: str = "default"
    groups: tuple[str, ...] = (EVERYONE,)
    collection: str = "documents"


def put(
    store: Store, name: str, *texts: str, generation: int = 1, place: Place | None = None
) -> None:
    """Add a document of one passage for each text."""
    place = place or Place()
    document = Document(
        id=name,
        title="",
        text="\n".join(texts),
        source=f"{name}.md",
        collection=place.collection,
        tenant=place.tenant,
        groups=place.groups,
        sha256=content_sha256("\n".join(texts).encode()),
        generation=generation,
        updated_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    passages = [
        Passage(
            id=passage_id(document=name, generation=generation, ordinal=ordinal),
            document_id=name,
            generation=generation,
            ordinal=ordinal,
            title="",
            heading_path=(),
            text=text,
            start=0,
            end=len(text),
        )
        for ordinal, text in enumerate(texts)
    ]
    store.upsert(document, passages, EMBEDDER.embed([p.searchable for p in passages]))


def hybrid(store: Store, query: str, scope: Scope | None = None) -> list[ScoredPassage]:
    vector = EMBEDDER.embed([query])[0]
    return store.search(query, vector, scope=scope or Scope(), limit=50)


def bm25(store: Store, query: str, scope: Scope | None = None) -> list[ScoredPassage]:
    return store.search(query, None, scope=scope or Scope(), limit=50)


def names(found: list[ScoredPassage]) -> list[str]:
    return [hit.passage.document_id for hit in found]
