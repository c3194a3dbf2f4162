"""The catalogue's table: one row is one generation of a document."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
    inspect,
    text,
)

from retrieval.documents import Document


class State(StrEnum):
    """Where a generation stands; only live ones answer."""

    PENDING = "pending"
    LIVE = "live"
    DELETING = "deleting"


_METADATA = MetaData()
DOCUMENTS = Table(
    "documents",
    _METADATA,
    Column("id", String(36), primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("state", String(8), nullable=False, index=True),
    Column("tenant", String(200), nullable=False, index=True),
    Column("collection", String(200), nullable=False),
    Column("source", Text, nullable=False),
    Column("origin", Text, nullable=False, server_default=""),
    Column("groups", Text, nullable=False),  # a JSON list
    Column("title", Text, nullable=False),
    Column("sha256", String(64), nullable=False, index=True),
    Column("passages", Integer, nullable=False, default=0),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("text", Text, nullable=False),  # last: SQLite reads past it to what stands behind it
)


def open_engine(url: str) -> Engine:
    """By SQLAlchemy URL; several threads may read SQLite while one writes."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def use_wal(connection: object, _: object) -> None:
            cursor = connection.cursor()  # type: ignore[attr-defined]
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA busy_timeout=5000")
            cursor.close()

    return engine


def create(engine: Engine) -> None:
    """The table, or what one of an earlier version, or whose making was cut short, lacks."""
    _METADATA.create_all(engine)
    if "origin" not in {column["name"] for column in inspect(engine).get_columns("documents")}:
        with engine.begin() as connection:
            connection.execute(
                text("ALTER TABLE documents ADD COLUMN origin TEXT NOT NULL DEFAULT ''")
            )
    for index in DOCUMENTS.indexes:
        index.create(engine, checkfirst=True)


def row_of(document: Document) -> dict[str, object]:
    """That of a new generation: pending, with no passage yet."""
    return {
        "id": document.id,
        "generation": document.generation,
        "state": State.PENDING,
        "tenant": document.tenant,
        "collection": document.collection,
        "source": document.source,
        "origin": document.origin,
        "groups": json.dumps(document.groups),
        "title": document.title,
        "sha256": document.sha256,
        "passages": 0,
        "updated_at": document.updated_at,
        "text": document.text,
    }


def document_of(row: Row[tuple[object, ...]]) -> Document:
    """What `row_of` wrote; SQLite forgets the time zone, which is always UTC."""
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
        origin=row.origin,
    )
