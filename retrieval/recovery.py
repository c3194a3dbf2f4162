"""What is done before the first search: a crash's leftovers, and an index that lost passages."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from retrieval.catalogue import Catalogue
from retrieval.catalogue_table import State
from retrieval.documents import Document, Passage
from retrieval.errors import IngestStoppedError
from retrieval.indexing import Draft, Indexer
from retrieval.store import Store

TOGETHER = 100  # documents that are indexed together

logger = logging.getLogger(__name__)


class Recovery:
    """Makes the index what the catalogue says; what cannot be indexed is left for the next time.

    Of a store that others write to as well, nothing is removed that they may have just written.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        store: Store,
        *,
        indexer: Indexer,
        cut: Callable[[Document], list[Passage]],
        shared: bool,
    ) -> None:
        self._catalogue = catalogue
        self._store = store
        self._indexer = indexer
        self._cut = cut
        self._shared = shared

    def run(self) -> None:
        """Remove what was retired, finish what is pending, complete what was lost.

        Raises:
            StoreError: the index cannot be read, or passages cannot be removed from it.
            IngestStoppedError: the system is closing.
        """
        self._indexer.sweep()
        pending = {document.id: document for document in self._catalogue.in_state(State.PENDING)}
        if pending:
            logger.info("finishing %d documents whose ingest was interrupted", len(pending))
            self._index(list(pending.values()))
        self._reconcile()

    def _reconcile(self) -> None:
        """Hold the number of stored passages of every document against the catalogue's."""
        pending = {document.id for document in self._catalogue.in_state(State.PENDING)}
        stored, expected = self._store.counts(), self._catalogue.passage_counts()
        names = (stored.keys() | expected.keys()) - pending
        lost = {name for name in names if stored.get(name, 0) < expected.get(name, 0)}
        surplus = {name for name in names if stored.get(name, 0) > expected.get(name, 0)}
        if lost or surplus:
            done = "left" if self._shared else "removed"
            logger.warning(
                "the index lacks passages of %d documents (indexed again) and has too many of %d "
                "(%s)",
                len(lost),
                len(surplus),
                done,
            )
        if not self._shared:
            for name in surplus:
                self._store.delete(name)
            lost |= surplus
        for start in range(0, len(lost), TOGETHER):
            live = self._catalogue.find(sorted(lost)[start : start + TOGETHER])
            self._index(list(live.values()))

    def _index(self, documents: Sequence[Document]) -> None:
        """All together; one by one when that fails, so that one fault costs no other document."""
        try:
            self._indexer.finish([Draft(document, self._cut(document)) for document in documents])
        except IngestStoppedError:
            raise
        except Exception:
            if len(documents) == 1:
                logger.exception("cannot index %s; the next start tries again", documents[0].source)
                return
            for document in documents:
                self._index([document])
