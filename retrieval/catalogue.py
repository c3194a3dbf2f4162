"""The catalogue: every document's text and state, the source of truth behind the index.

One row is one generation of a document. A replacement is written beside the live row as
`pending`, its passages are indexed, and then one transaction makes it live and marks the old one
`deleting`; at no moment does a document have two live generations, or none that was live before.
Many documents go through each of these steps together, in one transaction.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy import delete as sql_delete
from sqlalchemy.exc import SQLAlchemyError

from retrieval.catalogue_table import (
    DOCUMENTS,
    State,
    create,
    document_of,
    open_engine,
    row_of,
)
from retrieval.documents import Document, Scope
from retrieval.errors import DocumentNotFoundError, StoreError

Version = tuple[str, int]  # a document's id and one of its generations

_IS_LIVE = DOCUMENTS.c.state == State.LIVE


class Catalogue:
    """Documents in SQLite or PostgreSQL, by SQLAlchemy URL.

    `revision` changes before something starts or stops answering through this object: a search
    that saw it unchanged from its beginning to its end saw every document whole.

    SQLite's file belongs to one process, which therefore remembers the live generation of every
    document, about 200 bytes each: reading them anew took longer than the search itself.
    """

    def __init__(self, url: str) -> None:
        self.revision = 0
        self._revisions = itertools.count(1)
        self._engine = open_engine(url)
        self._alone = self._engine.dialect.name == "sqlite"
        self._known: dict[str, int | None] = {}  # None: nothing of the document answers
        self._forgetting = threading.Lock()
        try:
            create(self._engine)
            if self._alone:
                self._known |= self._read_live_generations()
        except SQLAlchemyError as error:
            raise StoreError(f"the catalogue {url} cannot be opened: {error}") from error

    def close(self) -> None:
        """Release the database's connections."""
        self._engine.dispose()

    def get(self, document_id: str, scope: Scope) -> Document:
        """The live generation. Raises DocumentNotFoundError, also when the scope may not see it."""
        document = self.find([document_id]).get(document_id)
        if document and document.tenant == scope.tenant and _visible(document, scope):
            return document
        raise DocumentNotFoundError(f"no document {document_id!r}; `GET /v1/documents` lists them")

    def find(self, document_ids: Iterable[str]) -> dict[str, Document]:
        """The live generation, whoever may see it, of each of the ids that has one."""
        found = self._select(DOCUMENTS.c.id.in_(list(document_ids)), _IS_LIVE)
        return {document.id: document for document in found}

    def live(self, scope: Scope) -> list[Document]:
        """Every document that the scope may see, by collection and source."""
        documents = self._select(DOCUMENTS.c.tenant == scope.tenant, _IS_LIVE)
        return [document for document in documents if _visible(document, scope)]

    def passage_counts(self, document_ids: Iterable[str] | None = None) -> dict[str, int]:
        """Number of passages of each live document, or of each of the ids that is one."""
        query = select(DOCUMENTS.c.id, DOCUMENTS.c.passages).where(_IS_LIVE)
        if document_ids is not None:
            query = query.where(DOCUMENTS.c.id.in_(list(document_ids)))
        with self._engine.connect() as connection:
            return {row.id: row.passages for row in connection.execute(query)}

    def count(self) -> int:
        """Number of live documents of all tenants."""
        query = select(func.count()).where(_IS_LIVE)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar_one()

    def live_generations(self, document_ids: Iterable[str]) -> dict[str, int]:
        """The generation that answers, for each of the ids that has one."""
        # What is read from here on goes into this dict; whoever changes something leaves it behind.
        known = self._known if self._alone else {}
        document_ids = list(document_ids)
        unknown = [name for name in document_ids if name not in known]
        if unknown:
            found = self._read_live_generations(unknown)
            known.update((name, found.get(name)) for name in unknown)
        return {
            name: generation for name in document_ids if (generation := known.get(name)) is not None
        }

    def last_generations(self, document_ids: Iterable[str]) -> dict[str, int]:
        """The highest generation on record, in whatever state, of each of the ids that has one."""
        query = (
            select(DOCUMENTS.c.id, func.max(DOCUMENTS.c.generation).label("last"))
            .where(DOCUMENTS.c.id.in_(list(document_ids)))
            .group_by(DOCUMENTS.c.id)
        )
        with self._engine.connect() as connection:
            return {row.id: row.last for row in connection.execute(query)}

    def akin(self, documents: Iterable[Document]) -> dict[Version, int]:
        """Live generations that may hold passages of these, with their number of passages.

        They are of the same document, or of the same tenant and the same content.
        """
        documents = list(documents)
        query = select(DOCUMENTS.c.id, DOCUMENTS.c.generation, DOCUMENTS.c.passages).where(
            _IS_LIVE,
            DOCUMENTS.c.tenant.in_({document.tenant for document in documents}),
            or_(
                DOCUMENTS.c.id.in_([document.id for document in documents]),
                DOCUMENTS.c.sha256.in_([document.sha256 for document in documents]),
            ),
        )
        with self._engine.connect() as connection:
            return {(row.id, row.generation): row.passages for row in connection.execute(query)}

    def add_pending(self, documents: Iterable[Document]) -> None:
        """Record generations before any of their passages is written."""
        with self._engine.begin() as connection:
            connection.execute(insert(DOCUMENTS), [row_of(document) for document in documents])

    def make_live(self, passages: Mapping[Version, int]) -> None:
        """Switch to generations, and retire every other one of their documents.

        A generation that was retired in the meantime stays so: its document was deleted.
        """
        with self._change({name for name, _ in passages}) as connection:
            for (document_id, generation), count in passages.items():
                same = DOCUMENTS.c.id == document_id
                this = DOCUMENTS.c.generation == generation
                connection.execute(update(DOCUMENTS).where(same, ~this).values(_RETIRED))
                connection.execute(
                    update(DOCUMENTS)
                    .where(same, this, DOCUMENTS.c.state != State.DELETING)
                    .values(state=State.LIVE, passages=count)
                )

    def keep(self, document: Document) -> None:
        """Note from which bytes and which place the same text comes now."""
        with self._engine.begin() as connection:
            connection.execute(
                update(DOCUMENTS)
                .where(DOCUMENTS.c.id == document.id, _IS_LIVE)
                .values(sha256=document.sha256, origin=document.origin)
            )

    def retire(self, document_id: str) -> None:
        """Stop a document from answering, now and after a crash; pending generations too."""
        with self._change({document_id}) as connection:
            of_it = DOCUMENTS.c.id == document_id
            connection.execute(update(DOCUMENTS).where(of_it).values(_RETIRED))

    def abandon(self, versions: Iterable[Version]) -> None:
        """Give up generations that never answered."""
        with self._engine.begin() as connection:
            connection.execute(update(DOCUMENTS).where(_IS_IT).values(_RETIRED), _each(versions))

    def retired(self) -> list[Version]:
        """The generations whose passages must go."""
        query = select(DOCUMENTS.c.id, DOCUMENTS.c.generation).where(
            DOCUMENTS.c.state == State.DELETING
        )
        with self._engine.connect() as connection:
            return [(row.id, row.generation) for row in connection.execute(query)]

    def forget(self, versions: Iterable[Version]) -> None:
        """Drop the rows of generations whose passages are gone."""
        with self._engine.begin() as connection:
            connection.execute(sql_delete(DOCUMENTS).where(_IS_IT), _each(versions))

    def in_state(self, state: State) -> list[Document]:
        """Every generation in a state, of all tenants; those of a document in their order."""
        return self._select(DOCUMENTS.c.state == state)

    @contextmanager
    def _change(self, document_ids: Collection[str]) -> Iterator[Connection]:
        """A transaction after which other generations of these documents answer, or none."""
        # Before the transaction: who reads the new number already finds all passages, old and new.
        self.revision = next(self._revisions)
        try:
            with self._engine.begin() as connection:
                yield connection
        finally:
            # A new dict: who read before the transaction's end may still write into the old one.
            with self._forgetting:
                known = self._known.copy()
                for name in document_ids:
                    known.pop(name, None)
                self._known = known

    def _read_live_generations(self, document_ids: Sequence[str] | None = None) -> dict[str, int]:
        """Of these documents, or of all."""
        query = select(DOCUMENTS.c.id, DOCUMENTS.c.generation).where(_IS_LIVE)
        if document_ids is not None:
            query = query.where(DOCUMENTS.c.id.in_(document_ids))
        with self._engine.connect() as connection:
            return {row.id: row.generation for row in connection.execute(query)}

    def _select(self, *conditions: ColumnElement[bool]) -> list[Document]:
        query = (
            select(DOCUMENTS)
            .where(*conditions)
            .order_by(DOCUMENTS.c.collection, DOCUMENTS.c.source, DOCUMENTS.c.generation)
        )
        with self._engine.connect() as connection:
            return [document_of(row) for row in connection.execute(query)]


_RETIRED = {"state": State.DELETING}
_IS_IT = and_(
    DOCUMENTS.c.id == bindparam("its_id"), DOCUMENTS.c.generation == bindparam("its_generation")
)


def _each(versions: Iterable[Version]) -> list[dict[str, object]]:
    """Parameters of `_IS_IT`, a statement each: one list of all has a limit in SQLite."""
    return [{"its_id": name, "its_generation": number} for name, number in versions]


def _visible(document: Document, scope: Scope) -> bool:
    in_collection = not scope.collections or document.collection in scope.collections
    return in_collection and scope.shares_group(document.groups)
