"""The nouns of retrieval: what is stored, what is found, and who may see it."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

EVERYONE = "everyone"  # the group of every caller and of every document that names no other
DEFAULT_TENANT = "default"

_NAMESPACE = uuid.UUID("6f0f2bd2-7d1c-5c43-9c1e-2b9a1f8e7a10")


@dataclass(frozen=True, slots=True)
class Document:
    """One source text, as Markdown.

    `generation` counts the contents the document has had; its passages carry the same number.
    `sha256` is that of the file's bytes, `origin` the path it was read from: empty for an upload.
    """

    id: str
    title: str
    text: str
    source: str
    collection: str
    tenant: str
    groups: tuple[str, ...]
    sha256: str
    generation: int
    updated_at: datetime
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document: `document.text[start:end] == text`.

    `table_header` is the header row of the table that the passage starts inside of, so that a
    row far down a long table still says what its cells mean; empty otherwise.
    """

    id: str
    document_id: str
    generation: int
    ordinal: int
    title: str
    heading_path: tuple[str, ...]
    text: str
    start: int
    end: int
    table_header: str = ""

    @property
    def context(self) -> str:
        """What the text stands under: title and headings, then the table header; maybe empty."""
        path = [part for part in (self.title, *self.heading_path) if part]
        headings = " > ".join(dict.fromkeys(path))
        return "\n".join(part for part in (headings, self.table_header) if part)

    @property
    def searchable(self) -> str:
        """What is embedded and indexed: the text behind its context."""
        return "\n".join(part for part in (self.context, self.text) if part)


@dataclass(frozen=True, slots=True)
class ScoredPassage:
    """A passage with its place in one result list and how it got there.

    `score` orders the list: the reranker's score where one ran, else the fused one. `dense_score`
    is a cosine in [-1, 1]. Ranks count from 1; a leg that did not find the passage leaves None.
    """

    passage: Passage
    source: str
    collection: str
    score: float
    fused_score: float
    dense_score: float | None = None
    dense_rank: int | None = None
    bm25_score: float | None = None
    bm25_rank: int | None = None
    rerank_score: float | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """Who asks and where to look: nothing outside of it is ever returned.

    No collections named means every collection of the tenant. `groups` is None for the operator
    of this machine alone, who sees the documents of every group.
    """

    tenant: str = DEFAULT_TENANT
    groups: tuple[str, ...] | None = (EVERYONE,)
    collections: tuple[str, ...] = ()

    def shares_group(self, groups: Iterable[str]) -> bool:
        """Whether a document of these groups may be seen."""
        return self.groups is None or not set(self.groups).isdisjoint(groups)


def document_id(*, tenant: str, collection: str, source: str) -> str:
    """Name a document by where it comes from, so a changed file stays the same document."""
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join((tenant, collection, source))))


def passage_id(*, document: str, generation: int, ordinal: int) -> str:
    """Name a passage; the generation keeps old and new contents of one document apart."""
    return str(uuid.uuid5(_NAMESPACE, f"{document}\x1f{generation}\x1f{ordinal}"))


def content_sha256(content: bytes) -> str:
    """Hex SHA-256 of a file's bytes, as `sha256sum` prints it."""
    return hashlib.sha256(content).hexdigest()
