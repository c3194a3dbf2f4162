"""The catalogue: every document's text and state, the source of truth behind the index.

One row is one generation of a document. A replacement is written beside the live row as
`pending`, its passages are indexed, and then one transaction makes it live and marks the old one
`deleting`; at no moment does a document have two live generations, or none that was live before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import (
    Column,
    DateTime,
    Engine,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    create_engine,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy import delete as sql_delete
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from retrieval.documents import Document, Scope
from retrieval.errors import DocumentNotFoundError, StoreError


class State(StrEnum):
    """Where a generation stands; only live ones answer."""

    PENDING = "pending"
    LIVE = "live"
    DELETING = "deleting"


_metadata = MetaData()
_documents = Table(
    "documents",
    _metadata,
    Column("id", String(36), primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("state", String(8), nullable=False, index=True),
    Column("tenant", String(200), nullable=False, index=True),
    Column("collection", String(200), nullable=False),
    Column("source", Text, nullable=False),
    Column("groups", Text, nullable=False),  # a JSON list
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("passages", Integer, nullable=False, default=0),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)


class Catalogue:
    """Documents in SQLite or PostgreSQL, by SQLAlchemy URL."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        try:
            _metadata.create_all(self._engine)
        except SQLAlchemyError as error:
            raise StoreError(f"the catalogue {url} cannot be opened: {error}") from error

    def close(self) -> None:
        """Release the database's connections."""
        self._engine.dispose()

    def get(self, document_id: str, scope: Scope) -> Document:
        """The live generation. Raises DocumentNotFoundError, also when the scope may not see it."""
        document = self.find(document_id)
        if document and document.tenant == scope.tenant and _visible(document, scope):
            return document
        raise DocumentNotFoundError(f"no document {document_id!r}; `GET /v1/documents` lists them")

    def find(self, document_id: str) -> Document | None:
        """The live generation, whoever may see it."""
        return next(
            iter(self._select(_documents.c.id == document_id, _documents.c.state == State.LIVE)),
            None,
        )

    def live(self, scope: Scope) -> list[Document]:
        """Every document that the scope may see, by collection and source."""
        documents = self._select(
            _documents.c.tenant == scope.tenant, _documents.c.state == State.LIVE
        )
        return [document for document in documents if _visible(document, scope)]

    def passage_counts(self) -> dict[str, int]:
        """Number of passages of each live document, by id."""
        query = select(_documents.c.id, _documents.c.passages).where(
            _documents.c.state == State.LIVE
        )
        with self._engine.connect() as connection:
            return {row.id: row.passages for row in connection.execute(query)}

    def count(self) -> int:
        """Number of live documents of all tenants."""
        query = select(func.count()).where(_documents.c.state == State.LIVE)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar_one()

    def live_generations(self, document_ids: Iterable[str]) -> dict[str, int]:
        """The generation that answers, for each of the ids that has one."""
        query = select(_documents.c.id, _documents.c.generation).where(
            _documents.c.id.in_(list(document_ids)), _documents.c.state == State.LIVE
        )
        with self._engine.connect() as connection:
            return {row.id: row.generation for row in connection.execute(query)}

    def next_generation(self, document_id: str) -> int:
        """One more than any generation on record."""
        query = select(func.max(_documents.c.generation)).where(_documents.c.id == document_id)
        with self._engine.connect() as connection:
            return (connection.execute(query).scalar_one_or_none() or 0) + 1

    def add_pending(self, document: Document) -> None:
        """Record a generation before any of its passages is written."""
        row = {
            "id": document.id,
            "generation": document.generation,
            "state": State.PENDING,
            "tenant": document.tenant,
            "collection": document.collection,
            "source": document.source,
            "groups": json.dumps(document.groups),
            "title": document.title,
            "text": document.text,
            "sha256": document.sha256,
            "passages": 0,
            "updated_at": document.updated_at,
        }
        with self._engine.begin() as connection:
            connection.execute(insert(_documents).values(row))

    def make_live(self, document: Document, *, passages: int) -> list[int]:
        """Switch to a generation in one transaction; returns the generations it retires."""
        same = _documents.c.id == document.id
        with self._engine.begin() as connection:
            retired = _retire(connection, document.id, keep=document.generation)
            connection.execute(
                update(_documents)
                .where(same, _documents.c.generation == document.generation)
                .values(state=State.LIVE, passages=passages)
            )
        return retired

    def retire(self, document_id: str) -> list[int]:
        """Stop a document from answering, now and after a crash.

        Returns the generations whose passages must go.
        """
        with self._engine.begin() as connection:
            return _retire(connection, document_id)

    def forget(self, document_id: str, generation: int) -> None:
        """Drop the row of a generation whose passages are gone."""
        with self._engine.begin() as connection:
            connection.execute(
                sql_delete(_documents).where(
                    _documents.c.id == document_id, _documents.c.generation == generation
                )
            )

    def in_state(self, state: State) -> list[Document]:
        """Every generation in a state, of all tenants."""
        return self._select(_documents.c.state == state)

    def _select(self, *conditions: object) -> list[Document]:
        query = (
            select(_documents)
            .where(*conditions)  # type: ignore[arg-type]
            .order_by(_documents.c.collection, _documents.c.source, _documents.c.generation)
        )
        with self._engine.connect() as connection:
            return [_document(row) for row in connection.execute(query)]


def _engine(url: str) -> Engine:
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def use_wal(connection: object, _: object) -> None:
            cursor = connection.cursor()  # type: ignore[attr-defined]
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA busy_timeout=5000")
            cursor.close()

    return engine


def _retire(connection: Connection, document_id: str, *, keep: int | None = None) -> list[int]:
    """Mark every generation but `keep` for deletion, those that a crash left pending included."""
    others = (_documents.c.id == document_id, _documents.c.generation != (keep or 0))
    retired = list(connection.execute(select(_documents.c.generation).where(*others)).scalars())
    connection.execute(update(_documents).where(*others).values(state=State.DELETING))
    return retired


def _visible(document: Document, scope: Scope) -> bool:
    in_collection = not scope.collections or document.collection in scope.collections
    return in_collection and scope.shares_group(document.groups)


def _document(row: Row[tuple[object, ...]]) -> Document:
    updated_at: datetime = row.updated_at
    groups: Sequence[str] = json.loads(row.groups)
    return Document(
        id=row.id,
        title=row.title,
        text=row.text,
        source=row.source,
        collection=row.collection,
        tenant=row.tenant,
        groups=tuple(groups),
        sha256=row.sha256,
        generation=row.generation,
        updated_at=updated_at if updated_at.tzinfo else updated_at.replace(tzinfo=UTC),
    )
