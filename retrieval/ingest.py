"""Documents in: text -> passages -> vectors -> index, crash-safe and replaceable."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from retrieval.catalogue import Catalogue
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
from retrieval.errors import LoadingError
from retrieval.indexing import Draft, Indexer
from retrieval.loading import LoadedText, load
from retrieval.recovery import Recovery
from retrieval.store import Store

DEFAULT_COLLECTION = "documents"
WINDOW_CHARS = 100_000  # text that goes through the disk writes together: about 150 passages
_ROW_CHARS = 200  # what a document weighs in a window beside its text

logger = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What became of a file."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file as it arrives: `source` names it for good, its suffix says what it is.

    `origin` is the path it was read from, empty for an upload.
    """

    source: str
    content: bytes
    collection: str = DEFAULT_COLLECTION
    tenant: str = DEFAULT_TENANT
    groups: tuple[str, ...] = (EVERYONE,)
    origin: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", tuple(sorted(set(self.groups))) or (EVERYONE,))

    @property
    def document_id(self) -> str:
        """The same source in the same collection is the same document, whatever it holds."""
        return document_id(tenant=self.tenant, collection=self.collection, source=self.source)


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a file, and the document that answers for its source now, if there is one.

    After a failure that is its last good content; `error` says what was wrong with the new one.
    """

    file: SourceFile
    outcome: Outcome
    document: Document | None
    error: LoadingError | None = None


class Ingestor:
    """The only writer of the catalogue and the store; one window of documents at a time."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        store: Store,
        embedder: Embedder,
        chunker: Chunker,
        shared_store: bool = False,
    ) -> None:
        """With a shared store, `recover` removes nothing that another writer may have put there."""
        self._catalogue = catalogue
        self._chunker = chunker
        self._indexer = Indexer(catalogue, store, embedder)
        self._recovery = Recovery(
            catalogue, store, indexer=self._indexer, cut=chunker.chunk, shared=shared_store
        )
        self._writing = threading.Lock()

    def put(self, file: SourceFile) -> tuple[Document, Outcome]:
        """Add a document or replace the one from the same source.

        Raises:
            LoadingError: the file cannot be read; nothing was changed.
        """
        (done,) = self.put_all([file])
        if done.error is not None:
            raise done.error
        assert done.document is not None  # None after failures alone
        return done.document, done.outcome

    def put_all(self, files: Iterable[SourceFile]) -> Iterator[Ingested]:
        """The same for many, in their order; a file that cannot be read costs no other.

        Each window of documents is done for good before its results come.

        Raises:
            EmbeddingError, StoreError: a part failed; its window is taken back.
            IngestStoppedError: `stop` was called; the next `recover` finishes the window.
        """
        for window in _windows(files):
            with self._writing:
                done = self._put_window(window)
            yield from done

    def delete(self, document_id: str, scope: Scope) -> None:
        """Remove a document; it stops answering at once, whatever is being written meanwhile.

        Raises:
            DocumentNotFoundError: no such document in the scope.
        """
        self._catalogue.get(document_id, scope)
        self._catalogue.retire(document_id)
        with self._writing:
            self._indexer.sweep()

    def recover(self) -> None:
        """Make the index what the catalogue says, after a crash or a loss; see `Recovery`."""
        with self._writing:
            self._recovery.run()

    def stop(self) -> None:
        """Return when nothing is written any more; what was begun is for `recover` to finish."""
        self._indexer.stop()
        with self._writing:
            pass

    def passages(self, document: Document) -> list[Passage]:
        """The passages of a document, as they are indexed."""
        return self._chunker.chunk(document)

    def _put_window(self, window: Sequence[_Loaded]) -> list[Ingested]:
        ids = [file.document_id for file, _ in window]
        known, last = self._catalogue.find(ids), self._catalogue.last_generations(ids)
        done: list[Ingested] = []
        drafts: list[Draft] = []
        for file, loaded in window:
            before = known.get(file.document_id)
            try:
                if isinstance(loaded, LoadingError):
                    raise loaded
                new = _document(file, loaded, before, last.get(file.document_id, 0) + 1)
                if before is not None and _says_the_same(before, new):
                    done.append(Ingested(file, Outcome.UNCHANGED, self._kept(before, new)))
                    continue
                drafts.append(self._cut(new))
            except LoadingError as error:
                done.append(Ingested(file, Outcome.FAILED, before, error))
            else:
                done.append(Ingested(file, Outcome.UPDATED if before else Outcome.ADDED, new))
        if drafts:
            self._indexer.put(drafts)
        return done

    def _kept(self, before: Document, new: Document) -> Document:
        """The live document; its text may come from other bytes or another place than it did."""
        now = replace(before, sha256=new.sha256, origin=new.origin)
        if now != before:
            self._catalogue.keep(now)
        return now

    def _cut(self, document: Document) -> Draft:
        try:
            return Draft(document, self._chunker.chunk(document))
        except Exception as error:
            logger.exception("cannot cut %s into passages", document.source)
            raise LoadingError(
                f"{document.source!r} cannot be cut into passages ({error}); the log says where"
            ) from error


_Loaded = tuple[SourceFile, LoadedText | LoadingError]


def _windows(files: Iterable[SourceFile]) -> Iterator[list[_Loaded]]:
    """Files with their texts, so many as are written together; no document twice in a window."""
    window: list[_Loaded] = []
    ids: set[str] = set()
    chars = 0
    for file in files:
        loaded: LoadedText | LoadingError
        try:
            loaded = load(file.source, file.content)
        except LoadingError as error:
            loaded = error
        if file.document_id in ids or chars >= WINDOW_CHARS:
            yield window
            window, ids, chars = [], set(), 0
        window.append((file, loaded))
        ids.add(file.document_id)
        chars += _ROW_CHARS + (0 if isinstance(loaded, LoadingError) else len(loaded.text))
    if window:
        yield window


def _says_the_same(one: Document, other: Document) -> bool:
    return (one.text, one.title, one.groups) == (other.text, other.title, other.groups)


def _document(
    file: SourceFile, loaded: LoadedText, before: Document | None, generation: int
) -> Document:
    """A new generation; an upload does not take a document from the folder that it came from."""
    return Document(
        id=file.document_id,
        title=loaded.title,
        text=loaded.text,
        source=file.source,
        collection=file.collection,
        tenant=file.tenant,
        groups=file.groups,
        sha256=content_sha256(file.content),
        generation=generation,
        updated_at=datetime.now(UTC),
        origin=file.origin or (before.origin if before else ""),
    )
