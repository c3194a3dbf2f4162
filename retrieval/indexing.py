"""Generations of documents into the index and out of it: many together, none embedded twice."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from retrieval.catalogue import Catalogue, Version
from retrieval.documents import Document, Passage, passage_id
from retrieval.embedding import Embedder, Vectors
from retrieval.errors import IngestStoppedError, StoreError
from retrieval.store import Store

SLICE = 64  # passages that are embedded and stored at once: two seconds of two cores


@dataclass(frozen=True, slots=True)
class Draft:
    """A generation of a document, cut into passages."""

    document: Document
    passages: Sequence[Passage]

    @property
    def version(self) -> Version:
        """Names the generation."""
        return self.document.id, self.document.generation


class Indexer:
    """Takes drafts through catalogue and store; one caller at a time, but for `stop`."""

    def __init__(self, catalogue: Catalogue, store: Store, embedder: Embedder) -> None:
        self._catalogue = catalogue
        self._store = store
        self._embedder = embedder
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Let the writing that is going on end after its slice, and begin no other."""
        self._stopping.set()

    def put(self, drafts: Sequence[Draft]) -> None:
        """Index new generations; all of them begin to answer in one step, or none.

        Raises:
            EmbeddingError, StoreError: a part failed; the generations are taken back.
            IngestStoppedError: `stop` was called; they stay pending.
        """
        self._catalogue.add_pending(draft.document for draft in drafts)
        try:
            self._write(drafts)
        except IngestStoppedError:
            raise
        except Exception:
            # Only a crash or a stop leaves pending generations behind; an error takes them back.
            self._catalogue.abandon(draft.version for draft in drafts)
            with suppress(StoreError):
                self.sweep()
            raise
        self._switch(drafts)

    def finish(self, drafts: Sequence[Draft]) -> None:
        """Index generations that are on record already. Raises what `put` raises."""
        self._write(drafts)
        self._switch(drafts)

    def sweep(self) -> None:
        """Remove the passages of retired generations, then the record of them."""
        retired = self._catalogue.retired()
        for document_id, generation in retired:
            self._store.delete(document_id, generation=generation)
        if retired:
            self._store.flush()
            self._catalogue.forget(retired)

    def _switch(self, drafts: Sequence[Draft]) -> None:
        self._catalogue.make_live({draft.version: len(draft.passages) for draft in drafts})
        self.sweep()

    def _write(self, drafts: Sequence[Draft]) -> None:
        """Store every passage; each slice outlasts this process, all of them the machine.

        A passage whose text is stored already keeps its vector: of a generation before, of
        another document with the same content, or of an attempt that was interrupted.
        """
        self._go_on()
        known = self._store.vectors(self._stored(drafts))
        pairs = [(draft.document, passage) for draft in drafts for passage in draft.passages]
        self._store_all([pair for pair in pairs if pair[1].searchable in known], known)
        new = [pair for pair in pairs if pair[1].searchable not in known]
        for start in range(0, len(new), SLICE):
            self._go_on()
            part = new[start : start + SLICE]
            texts = {passage.searchable for _, passage in part} - known.keys()
            # The longest first, so that no core has a long one left when the others are done.
            in_order = sorted(texts, key=len, reverse=True)
            known |= zip(in_order, self._embedder.embed(in_order), strict=True)
            self._store_all(part, known)
        self._store.flush()

    def _stored(self, drafts: Sequence[Draft]) -> list[str]:
        """Ids under which passages of these drafts may be stored."""
        ids = [passage.id for draft in drafts for passage in draft.passages]
        akin = self._catalogue.akin(draft.document for draft in drafts)
        for (document_id, generation), passages in akin.items():
            ids += [
                passage_id(document=document_id, generation=generation, ordinal=ordinal)
                for ordinal in range(passages)
            ]
        return ids

    def _store_all(
        self, pairs: Sequence[tuple[Document, Passage]], vectors: dict[str, Vectors]
    ) -> None:
        for document, group in groupby(pairs, key=lambda pair: pair[0]):
            passages = [passage for _, passage in group]
            rows = np.stack([vectors[passage.searchable] for passage in passages])  # (n, d)
            self._store.upsert(document, passages, rows)

    def _go_on(self) -> None:
        if self._stopping.is_set():
            raise IngestStoppedError("Twofold is closing; its next start finishes what was begun")
