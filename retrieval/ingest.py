"""Documents in: text -> passages -> vectors -> index, crash-safe and replaceable."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from retrieval.catalogue import Catalogue, State
from retrieval.chunking import Chunker
from retrieval.documents import (
    DEFAULT_TENANT,
    EVERYONE,
    Document,
    Passage,
    Scope,
    content_sha256,
    document_id,
)
from retrieval.embedding import Embedder
from retrieval.errors import RetrievalError
from retrieval.loading import load
from retrieval.store import Store

DEFAULT_COLLECTION = "documents"

logger = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What putting a document did."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file as it arrives: `source` names it for good, its suffix says what it is."""

    source: str
    content: bytes
    collection: str = DEFAULT_COLLECTION
    tenant: str = DEFAULT_TENANT
    groups: tuple[str, ...] = (EVERYONE,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", tuple(sorted(set(self.groups))) or (EVERYONE,))

    @property
    def document_id(self) -> str:
        """The same source in the same collection is the same document, whatever it holds."""
        return document_id(tenant=self.tenant, collection=self.collection, source=self.source)


class Ingestor:
    """The only writer of the catalogue and the store; one document at a time."""

    def __init__(
        self, *, catalogue: Catalogue, store: Store, embedder: Embedder, chunker: Chunker
    ) -> None:
        self._catalogue = catalogue
        self._store = store
        self._embedder = embedder
        self._chunker = chunker
        self._writing = threading.Lock()

    def put(self, file: SourceFile) -> tuple[Document, Outcome]:
        """Add a document or replace the one from the same source.

        Raises:
            LoadingError: the file cannot be read; nothing was changed.
        """
        loaded = load(file.source, file.content)
        with self._writing:
            known = self._catalogue.find(file.document_id)
            sha256 = content_sha256(loaded.text)
            if known and known.sha256 == sha256 and known.groups == file.groups:
                return known, Outcome.UNCHANGED
            document = Document(
                id=file.document_id,
                title=loaded.title,
                text=loaded.text,
                source=file.source,
                collection=file.collection,
                tenant=file.tenant,
                groups=file.groups,
                sha256=sha256,
                generation=self._catalogue.next_generation(file.document_id),
                updated_at=datetime.now(UTC),
            )
            self._catalogue.add_pending(document)
            try:
                passages = self._write(document)
            except Exception:
                # Only a crash leaves a pending generation behind; an error takes it back.
                self._discard(document.id, document.generation)
                raise
            self._switch(document, passages)
            return document, Outcome.UPDATED if known else Outcome.ADDED

    def delete(self, document_id: str, scope: Scope) -> None:
        """Remove a document; it stops answering before its passages are gone.

        Raises:
            DocumentNotFoundError: no such document in the scope.
        """
        with self._writing:
            self._catalogue.get(document_id, scope)
            for generation in self._catalogue.retire(document_id):
                self._discard(document_id, generation)

    def recover(self) -> None:
        """Finish what a crash interrupted: index what is pending, remove what is deleting."""
        with self._writing:
            for document in self._catalogue.in_state(State.DELETING):
                self._discard(document.id, document.generation)
            for document in self._catalogue.in_state(State.PENDING):
                logger.info("resuming the interrupted ingest of %s", document.source)
                self._resume(document)

    def reindex(self) -> int:
        """Index every live document anew, for a store that was emptied; returns how many."""
        with self._writing:
            documents = self._catalogue.in_state(State.LIVE)
            for document in documents:
                self._write(document)
            return len(documents)

    def passages(self, document: Document) -> list[Passage]:
        """The passages of a document, as they are indexed."""
        return self._chunker.chunk(document)

    def _resume(self, document: Document) -> None:
        live = self._catalogue.find(document.id)
        if live is not None and live.generation > document.generation:
            self._discard(document.id, document.generation)
            return
        try:
            self._switch(document, self._write(document))
        except RetrievalError:
            logger.exception("cannot index %s; the next start tries again", document.source)

    def _write(self, document: Document) -> int:
        """Put a generation into the index, where it does not answer yet; returns its passages."""
        passages = self._chunker.chunk(document)
        vectors = self._embedder.embed([passage.searchable for passage in passages])
        self._store.upsert(document, passages, vectors)
        return len(passages)

    def _switch(self, document: Document, passages: int) -> None:
        """Let a generation answer, and remove those before it."""
        for generation in self._catalogue.make_live(document, passages=passages):
            self._discard(document.id, generation)

    def _discard(self, document_id: str, generation: int) -> None:
        self._store.delete(document_id, generation=generation)
        self._catalogue.forget(document_id, generation)
