"""A Qdrant server: the distributed engine. One collection holds the passages of every tenant.

Vectors, filters, the size of its legs and BM25's IDF over the tenant's own passages are those of
`EdgeStore`. What a server does in its own way:

- It fuses the legs itself, to the same scores.
- IDF counts the tenant's passages in one shard: in a collection of several, the same word weighs a
  little more in one than in another. Fusion sees all shards.
- The HNSW graph is built in the background; from then on the dense leg is approximate.
- With replicas, a search may be answered by one that has not seen the last write yet.

qdrant-client's ":memory:" mode does all that is used here except payload indexes: it scans.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING

import numpy as np
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from retrieval.documents import Document, Passage, Scope, ScoredPassage
from retrieval.embedding import Vectors
from retrieval.errors import StoreError
from retrieval.points import (
    BM25,
    DENSE,
    KEYWORD_KEYS,
    LEG_LIMIT,
    IndexManifest,
    bm25_of,
    leg_of,
    passage_of,
    payload_of,
    scored_passages,
)
from retrieval.qdrant_server import IN_MEMORY, check_version, mapped_errors, url_of

if TYPE_CHECKING:
    from qdrant_edge import SparseVector

COLLECTION = "twofold"
_MANIFEST = "twofold"  # key of the collection's metadata; marks the collection as ours
_UPSERT_BATCH = 100  # a request may have 32 MiB
_READ_BATCH = 500
_EVERY_DOCUMENT = 1 << 31


class QdrantStore:
    """Implements `Store` on a collection of a server; takes over the client and closes it."""

    def __init__(
        self, client: QdrantClient, manifest: IndexManifest, *, collection: str = COLLECTION
    ) -> None:
        self._bm25 = bm25_of(manifest)
        self._client = client
        self._collection = collection
        with mapped_errors(client, "opened"):
            check_version(client)
            if not client.collection_exists(collection):
                _create(client, collection, manifest)
            manifest.check(_manifest(client, collection), where=_name(client, collection))
            _index_payload(client, collection)

    def search(
        self, text: str, vector: Vectors | None, *, scope: Scope, limit: int
    ) -> list[ScoredPassage]:
        """Best first: both legs fused, or BM25 alone without a vector; one request to the server.

        The legs ride along in the batch without payload, so that every result says where it came
        from.
        """
        requests = self._requests(text, vector, scope=scope, limit=limit)
        with mapped_errors(self._client, "searched"):
            replies = self._client.query_batch_points(self._collection, requests)
        fused, *found = (reply.points for reply in replies)
        by_bm25, *by_vector = found or [fused]
        return scored_passages(
            ((point, point.score) for point in fused[:limit]),
            bm25=leg_of(by_bm25),
            dense=leg_of(by_vector[0]) if by_vector else None,
        )

    def upsert(self, document: Document, passages: Sequence[Passage], vectors: Vectors) -> None:
        """Write in batches, each applied and in the server's log when the next one starts."""
        if len(passages) != len(vectors):
            raise ValueError(f"{len(passages)} passages but {len(vectors)} vectors")
        points = [
            models.PointStruct(
                id=passage.id,
                vector={
                    DENSE: vector.tolist(),
                    BM25: _sparse(self._bm25.embed_document(passage.searchable)),
                },
                payload=payload_of(document, passage),
            )
            for passage, vector in zip(passages, vectors, strict=True)
        ]
        for start in range(0, len(points), _UPSERT_BATCH):
            with mapped_errors(self._client, "written"):
                self._client.upsert(
                    self._collection, points[start : start + _UPSERT_BATCH], wait=True
                )

    def delete(self, document_id: str, *, generation: int | None = None) -> None:
        """Remove by filter; deleting what is not there is no error."""
        conditions = [_match("document_id", document_id)]
        if generation is not None:
            conditions.append(_match("generation", generation))
        with mapped_errors(self._client, "written"):
            self._client.delete(self._collection, _must(*conditions), wait=True)

    def flush(self) -> None:
        """Nothing is left to do: what was acknowledged is in the server's log."""

    def vectors(self, passage_ids: Sequence[str]) -> dict[str, Vectors]:
        """(d,) each, as the server keeps them: of length 1 to the last bits."""
        found: list[models.Record] = []
        for start in range(0, len(passage_ids), _READ_BATCH):
            with mapped_errors(self._client, "read"):
                found += self._client.retrieve(
                    self._collection,
                    passage_ids[start : start + _READ_BATCH],
                    with_payload=True,
                    with_vectors=[DENSE],
                )
        return {passage_of(record).searchable: _dense(record) for record in found}

    def count(self) -> int:
        """Number of stored passages, those of generations not yet live included."""
        with mapped_errors(self._client, "read"):
            return self._client.count(self._collection, exact=True).count

    def counts(self) -> dict[str, int]:
        """Of generations not yet live too; the server counts, exactly."""
        with mapped_errors(self._client, "read"):
            reply = self._client.facet(
                self._collection, "document_id", limit=_EVERY_DOCUMENT, exact=True
            )
        return {str(hit.value): hit.count for hit in reply.hits if hit.count}

    def close(self) -> None:
        """Close the connections; what was in memory is gone."""
        self._client.close()

    def _requests(
        self, text: str, vector: Vectors | None, *, scope: Scope, limit: int
    ) -> list[models.QueryRequest]:
        """What is returned; with a vector, then BM25's leg and the dense leg."""
        within = _scope_filter(scope)
        tenants_own = models.IdfCorpusParams(corpus=_must(_match("tenant", scope.tenant)))
        bm25 = models.QueryRequest(
            query=_sparse(self._bm25.embed_query(text)),
            using=BM25,
            filter=within,
            params=models.SearchParams(idf=tenants_own),
            limit=LEG_LIMIT,
        )
        if vector is None:
            wide = {"limit": max(limit, LEG_LIMIT), "with_payload": True}
            return [bm25.model_copy(update=wide)]
        dense = models.QueryRequest(
            query=vector.tolist(), using=DENSE, filter=within, limit=LEG_LIMIT
        )
        fused = models.QueryRequest(
            prefetch=[_prefetch(dense), _prefetch(bm25)],
            query=models.FusionQuery(fusion=models.Fusion.DBSF),
            limit=limit,
            with_payload=True,
        )
        return [fused, bm25, dense]


def drop(client: QdrantClient, collection: str = COLLECTION) -> None:
    """Remove the index, whatever it was built with; nothing happens where there is none.

    Raises:
        StoreError: the server is down, or the collection was not made by Twofold.
    """
    with mapped_errors(client, "removed"):
        if client.collection_exists(collection):
            _manifest(client, collection)
            client.delete_collection(collection)


def describe(client: QdrantClient, collection: str = COLLECTION) -> str:
    """The server's version and what it holds, for people. Raises StoreError, as opening would."""
    with mapped_errors(client, "read"):
        version = check_version(client)
        if not client.collection_exists(collection):
            return f"Qdrant {version}, no passages yet"
        _manifest(client, collection)
        return f"Qdrant {version}, {client.count(collection).count:,} passages"


def _create(client: QdrantClient, collection: str, manifest: IndexManifest) -> None:
    dense = models.VectorParams(size=manifest.dimension, distance=models.Distance.COSINE)
    try:
        client.create_collection(
            collection,
            vectors_config={DENSE: dense},
            sparse_vectors_config={BM25: models.SparseVectorParams(modifier=models.Modifier.IDF)},
            metadata={_MANIFEST: asdict(manifest)},
        )
    except UnexpectedResponse as error:
        if error.status_code != HTTPStatus.CONFLICT:  # another process was faster
            raise


def _index_payload(client: QdrantClient, collection: str) -> None:
    """Index what is filtered by; keeps the indexes that are there, adds those cut short."""
    if url_of(client) == IN_MEMORY:
        return
    there = client.get_collection(collection).payload_schema
    keyword = models.KeywordIndexType.KEYWORD
    schemas: dict[str, models.PayloadSchemaParams] = {
        key: models.KeywordIndexParams(type=keyword, is_tenant=key == "tenant")
        for key in KEYWORD_KEYS
    }
    # Servers in strict mode, Qdrant Cloud's for one, refuse to delete by a key without an index.
    schemas["generation"] = models.IntegerIndexParams(
        type=models.IntegerIndexType.INTEGER, lookup=True, range=False
    )
    for key, schema in schemas.items():
        if key not in there:
            client.create_payload_index(collection, key, schema, wait=True)


def _manifest(client: QdrantClient, collection: str) -> dict[str, object]:
    metadata = client.get_collection(collection).config.metadata or {}
    if _MANIFEST not in metadata:
        raise StoreError(
            f"{_name(client, collection)} was not made by Twofold; name another collection in the "
            "setting qdrant_collection"
        )
    stored: dict[str, object] = metadata[_MANIFEST]
    return stored


def _name(client: QdrantClient, collection: str) -> str:
    return f"the collection {collection!r} of {url_of(client)}"


def _prefetch(leg: models.QueryRequest) -> models.Prefetch:
    return models.Prefetch(
        query=leg.query, using=leg.using, filter=leg.filter, params=leg.params, limit=leg.limit
    )


def _dense(record: models.Record) -> Vectors:
    assert isinstance(record.vector, dict)  # named vectors
    return np.array(record.vector[DENSE], dtype=np.float32)


def _sparse(weights: SparseVector) -> models.SparseVector:
    return models.SparseVector(indices=weights.indices, values=weights.values)


def _match(key: str, value: str | int) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


def _must(*conditions: models.FieldCondition) -> models.Filter:
    return models.Filter(must=list(conditions))


def _scope_filter(scope: Scope) -> models.Filter:
    conditions = [_match("tenant", scope.tenant)]
    for key, values in (("groups", scope.groups), ("collection", scope.collections or None)):
        if values is not None:
            any_of = models.MatchAny(any=list(values))
            conditions.append(models.FieldCondition(key=key, match=any_of))
    return _must(*conditions)
