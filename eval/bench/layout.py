"""Whose documents they are, and who asks: every question has a full scope."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from eval.bench.corpus import Piece
from retrieval.documents import (
    Document,
    Passage,
    Scope,
    content_sha256,
    document_id,
    passage_id,
)
from retrieval.ingest import DEFAULT_COLLECTION

TENANTS = 20
GROUPS = ("sales", "support", "legal", "finance", "staff")  # a document has one of them
ASKED_GROUPS = 3
_DATE = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Layout:
    """Documents go to the tenants, and in each tenant to the groups, in turn."""

    tenants: int = TENANTS
    asked_groups: int = ASKED_GROUPS  # that a question may see

    def tenant(self, number: int) -> str:
        """Of a document or a question."""
        return f"tenant-{number % self.tenants}"

    def scope(self, question: int) -> Scope:
        """One tenant and some of the groups, others for each question."""
        turn = question // self.tenants
        groups = tuple(GROUPS[(turn + step) % len(GROUPS)] for step in range(self.asked_groups))
        return Scope(tenant=self.tenant(question), groups=groups)

    def place(self, number: int, piece: Piece) -> tuple[Document, list[Passage]]:
        """The document as its tenant has it."""
        tenant = self.tenant(number)
        name = document_id(tenant=tenant, collection=DEFAULT_COLLECTION, source=piece.source)
        text = "\n\n".join(passage.text for passage in piece.passages)
        document = Document(
            id=name,
            title=piece.passages[0].title,
            text=text,
            source=piece.source,
            collection=DEFAULT_COLLECTION,
            tenant=tenant,
            groups=(GROUPS[number // self.tenants % len(GROUPS)],),
            sha256=content_sha256(text.encode(errors="replace")),
            generation=1,
            updated_at=_DATE,
        )
        passages = [
            replace(
                passage,
                id=passage_id(document=name, generation=1, ordinal=ordinal),
                document_id=name,
                generation=1,
                ordinal=ordinal,
            )
            for ordinal, passage in enumerate(piece.passages)
        ]
        return document, passages
