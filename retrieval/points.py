"""What both engines store and give back: a passage as a point, and the manifest of an index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from retrieval.documents import Document, Passage, ScoredPassage
from retrieval.errors import IndexMismatchError, StoreError

if TYPE_CHECKING:
    from qdrant_edge import Bm25

PointId = int | str | UUID
LEG_LIMIT = 100  # candidates that each of dense and BM25 brings to the fusion
DENSE, BM25 = "dense", "bm25"  # names of a point's two vectors
KEYWORD_KEYS = ("tenant", "groups", "collection", "document_id")  # payload keys to be indexed


@dataclass(frozen=True, slots=True)
class IndexManifest:
    """What an index was built with; another embedder or language would find nothing in it.

    `avg_len` is BM25's average passage length in tokens after stop words. It is fixed when the
    index is made, because it is part of the weights stored with each passage.
    """

    embedder: str
    dimension: int
    language: str = "english"
    avg_len: float = 64.0

    def check(self, stored: Mapping[str, Any], *, where: str) -> None:
        """Raises IndexMismatchError unless the index in `where` was built with the same."""
        for key, wants in asdict(self).items():
            has = stored.get(key)
            if has != wants:
                raise IndexMismatchError(
                    f"the index in {where} was built with {key} {has!r}, but the settings ask "
                    f"for {wants!r}; change the setting back or run `twofold documents rebuild`"
                )


class Stored(Protocol):
    """A point as either engine gives it back."""

    @property
    def id(self) -> PointId: ...  # noqa: D102

    @property
    def payload(self) -> dict[str, Any] | None: ...  # noqa: D102


class Found(Stored, Protocol):
    """A point in a result list."""

    @property
    def score(self) -> float: ...  # noqa: D102


def bm25_of(manifest: IndexManifest) -> Bm25:
    """Turns texts into BM25's sparse vectors, the same for both engines; IDF is the engine's part.

    Raises:
        StoreError: the language is unknown.
    """
    import qdrant_edge as edge

    try:
        return edge.Bm25(edge.Bm25Config(language=manifest.language, avg_len=manifest.avg_len))
    except ValueError as error:
        raise StoreError(
            f"BM25 cannot be set up: {error}; the language is a name such as 'english'"
        ) from error


def payload_of(document: Document, passage: Passage) -> dict[str, Any]:
    """What is stored beside a passage's vectors: enough to filter by it and to give it back."""
    return {
        "tenant": document.tenant,
        "groups": list(document.groups),
        "collection": document.collection,
        "document_id": document.id,
        "generation": passage.generation,
        "ordinal": passage.ordinal,
        "source": document.source,
        "title": passage.title,
        "heading_path": list(passage.heading_path),
        "text": passage.text,
        "start": passage.start,
        "end": passage.end,
        "table_header": passage.table_header,
    }


def passage_of(point: Stored) -> Passage:
    """The passage that was stored, from the payload."""
    return _passage(str(point.id), point.payload or {})


Leg = Mapping[PointId, float]  # best first: point id -> score


def leg_of(points: Iterable[Found]) -> Leg:
    """One of the lists that are fused."""
    return {point.id: point.score for point in points}


def scored_passages(
    fused: Iterable[tuple[Stored, float]], *, bm25: Leg, dense: Leg | None = None
) -> list[ScoredPassage]:
    """Points with payloads and fused scores -> passages with their rank and score in the legs.

    The engines return ties in any order; here they come by id, so that runs repeat.
    """
    legs = _ranked(dense or {}), _ranked(bm25)
    hits = [_scored(point, score, *legs) for point, score in fused]
    hits.sort(key=lambda hit: (-hit.fused_score, hit.passage.id))
    return hits


_Ranked = dict[PointId, tuple[int, float]]  # point id -> rank from 1, score


def _ranked(leg: Leg) -> _Ranked:
    return {name: (rank, score) for rank, (name, score) in enumerate(leg.items(), start=1)}


def _scored(point: Stored, score: float, dense: _Ranked, bm25: _Ranked) -> ScoredPassage:
    name, payload = point.id, point.payload or {}
    dense_rank, dense_score = dense.get(name, (None, None))
    bm25_rank, bm25_score = bm25.get(name, (None, None))
    return ScoredPassage(
        passage=_passage(str(name), payload),
        source=payload["source"],
        collection=payload["collection"],
        score=score,
        fused_score=score,
        dense_score=dense_score,
        dense_rank=dense_rank,
        bm25_score=bm25_score,
        bm25_rank=bm25_rank,
    )


def _passage(name: str, payload: Mapping[str, Any]) -> Passage:
    return Passage(
        id=name,
        document_id=payload["document_id"],
        generation=payload["generation"],
        ordinal=payload["ordinal"],
        title=payload["title"],
        heading_path=tuple(payload["heading_path"]),
        text=payload["text"],
        start=payload["start"],
        end=payload["end"],
        table_header=payload["table_header"],
    )
