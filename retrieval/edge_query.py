"""What is asked of a Qdrant Edge shard: BM25, dense, and both as one list, within a scope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import qdrant_edge as edge

from retrieval.documents import Scope
from retrieval.embedding import Vectors
from retrieval.fusion import fuse
from retrieval.points import BM25, DENSE, LEG_LIMIT, Leg

GRAPH_SEARCH_WIDTH = 512  # ef: candidates kept on the way; see docs/LOG.md


@dataclass(frozen=True, slots=True)
class Bm25Leg:
    """The words' side of a search. Their rarity (IDF) is that among the tenant's own passages."""

    query: edge.Query
    within: edge.Filter
    params: edge.SearchParams

    @classmethod
    def of(cls, bm25: edge.Bm25, text: str, scope: Scope) -> Bm25Leg:
        """The best passages by the question's words."""
        own = edge.IdfParams(corpus=must(match("tenant", scope.tenant)))
        return cls(
            edge.Query.Nearest(bm25.embed_query(text), using=BM25),
            scope_filter(scope),
            edge.SearchParams(idf=own),
        )

    def request(self, limit: int = LEG_LIMIT) -> edge.QueryRequest:
        """The leg by itself."""
        return edge.QueryRequest(limit, query=self.query, filter=self.within, params=self.params)

    def everywhere(self) -> Bm25Leg:
        """The same words over every tenant's passages, their rarity too: for measuring alone."""
        return Bm25Leg(self.query, must(), edge.SearchParams())

    def prefetch(self) -> edge.Prefetch:
        """The leg as a part of a fused search."""
        return edge.Prefetch(LEG_LIMIT, query=self.query, filter=self.within, params=self.params)


@dataclass(frozen=True, slots=True)
class DenseLeg:
    """The vectors' side of a search."""

    query: edge.Query
    within: edge.Filter
    params: edge.SearchParams

    @classmethod
    def of(
        cls, vector: Vectors, scope: Scope, *, width: int = GRAPH_SEARCH_WIDTH, exact: bool = False
    ) -> DenseLeg:
        """The passages next to the vector: through the graph, or exactly, by comparing all.

        A collection's passages are not linked with each other (`edge_store.GRAPHS_OF`), so there
        the search looks through those that it may not return.
        """
        through = edge.AcornSearchParams(enable=True, max_selectivity=1.0)
        return cls(
            edge.Query.Nearest(vector.tolist(), using=DENSE),
            scope_filter(scope),
            edge.SearchParams(
                hnsw_ef=width, exact=exact, acorn=through if scope.collections else None
            ),
        )

    def request(self, limit: int = LEG_LIMIT) -> edge.QueryRequest:
        """The leg by itself."""
        return edge.QueryRequest(limit, query=self.query, filter=self.within, params=self.params)

    def prefetch(self) -> edge.Prefetch:
        """The leg as a part of a fused search."""
        return edge.Prefetch(LEG_LIMIT, query=self.query, filter=self.within, params=self.params)


def legs(bm25: Bm25Leg, dense: DenseLeg | None, limit: int) -> edge.QueryBatchRequest:
    """The lists of both, or of BM25 alone, to find `limit` passages in; without payload."""
    if dense is None:
        return edge.QueryBatchRequest([bm25.request(max(limit, LEG_LIMIT))])
    return edge.QueryBatchRequest([bm25.request(), dense.request()])


def best(
    shard: edge.EdgeShard, found: Sequence[Leg], limit: int
) -> list[tuple[edge.Record, float]]:
    """The lists of `legs` made one: points with payload, the highest score first, ties by id.

    A list alone keeps its scores. What was deleted since it was found makes room for the next.
    """
    total = fuse(found) if len(found) > 1 else found[0]
    order = iter(sorted(total, key=lambda name: (-total[name], name)))
    hits: list[tuple[edge.Record, float]] = []
    while wanted := list(islice(order, limit - len(hits))):
        there = shard.retrieve(wanted, with_payload=True, with_vector=False)
        points = {point.id: point for point in there}
        hits += [(points[name], total[name]) for name in wanted if name in points]
    return hits


def match(key: str, value: str | int) -> edge.FieldCondition:
    """That a payload key has the value, or holds it among others."""
    return edge.FieldCondition(key, match=edge.MatchValue(value))


def must(*conditions: edge.FieldCondition) -> edge.Filter:
    """All of the conditions."""
    return edge.Filter(must=list(conditions))


def scope_filter(scope: Scope) -> edge.Filter:
    """What the scope may see."""
    conditions = [match("tenant", scope.tenant)]
    if scope.groups is not None:
        conditions.append(edge.FieldCondition("groups", match=edge.MatchAny(list(scope.groups))))
    if scope.collections:
        conditions.append(
            edge.FieldCondition("collection", match=edge.MatchAny(list(scope.collections)))
        )
    return must(*conditions)
