"""A question -> the passages that answer it: dense and BM25, fused, then reranked."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Protocol

from retrieval.documents import Scope, ScoredPassage
from retrieval.embedding import Embedder, Vectors
from retrieval.errors import EmbeddingError
from retrieval.reranking import RerankError, Reranking, log_odds
from retrieval.store import Store

SPARE = 5  # more asked for than wanted, since passages of replaced documents are dropped
SEARCH_REPEATS = 5  # more documents than that are not replaced during one search

logger = logging.getLogger(__name__)


class LiveGenerations(Protocol):
    """What the retriever asks of the catalogue."""

    @property
    def revision(self) -> int:
        """Another number before something starts or stops answering."""
        ...

    def live_generations(self, document_ids: Iterable[str]) -> Mapping[str, int]:
        """The generation that may answer, for each id that has one."""
        ...


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Passages, best first; `degraded` names the parts that failed on the way."""

    passages: tuple[ScoredPassage, ...]
    degraded: tuple[str, ...] = ()
    timings_ms: Mapping[str, float] = field(default_factory=dict)


class HybridRetriever:
    """Searches one store; the reranker's place may be empty, and then fused order stands."""

    def __init__(
        self,
        *,
        embedder: Embedder,
        store: Store,
        catalogue: LiveGenerations,
        reranking: Reranking | None = None,
    ) -> None:
        self._embedder = embedder
        self._store = store
        self._catalogue = catalogue
        self._reranking = reranking

    def embed(self, query: str) -> Vectors | None:
        """(d,) the query's vector, or None when the embedder is down: BM25 goes on without."""
        try:
            vector: Vectors = self._embedder.embed([query])[0]
            return vector
        except EmbeddingError:
            logger.exception("the embedder failed; searching with BM25 alone")
            return None

    def search(
        self,
        query: str,
        k: int | Mapping[str, int],
        scope: Scope,
        *,
        vector: Vectors | None = None,
    ) -> Retrieved:
        """The k best passages of live documents in the scope.

        With a k for each of several collections, the best of each come first, then the second
        best, and so on; unless the reranker has a say. Pass the query's vector where it is known
        already; without one it is computed here.

        Raises:
            StoreError: the index cannot be searched.
        """
        if (min(k.values(), default=0) if isinstance(k, Mapping) else k) < 1:
            raise ValueError(f"k must be at least 1, got {k!r}")
        started = time.perf_counter()
        timings: dict[str, float] = {}
        if vector is None:
            vector = self.embed(query)
            timings["embed"] = _ms_since(started)
            started = time.perf_counter()
        found = self._candidates(query, vector, k, scope)
        timings["search"] = _ms_since(started)
        degraded = [] if vector is not None else ["embedder"]
        if self._reranking and found:
            started = time.perf_counter()
            try:
                found = _reranked(self._reranking, query, found)
            except RerankError:
                logger.exception("the reranker failed; the fused order stands")
                degraded.append("reranker")
            timings["rerank"] = _ms_since(started)
        best = _best_of_each(found, k) if isinstance(k, Mapping) else found[:k]
        return Retrieved(tuple(best), tuple(degraded), timings)

    def _candidates(
        self, query: str, vector: Vectors | None, k: int | Mapping[str, int], scope: Scope
    ) -> list[ScoredPassage]:
        """In fused order, which says nothing between collections that are searched apart."""
        read = self._reranking.candidates if self._reranking else 0
        if not isinstance(k, Mapping):
            return self._search_live(query, vector, scope=scope, wanted=max(k, read))
        apart = [
            self._search_live(
                query,
                vector,
                scope=replace(scope, collections=(name,)),
                wanted=max(wanted, read // len(k)),
            )
            for name, wanted in k.items()
            if not scope.collections or name in scope.collections
        ]
        in_turn = zip_longest(*apart)
        return [hit for place in in_turn for hit in place if hit is not None]

    def _search_live(
        self, query: str, vector: Vectors | None, *, scope: Scope, wanted: int
    ) -> list[ScoredPassage]:
        """Passages of replaced documents may still be stored: ask until enough are live.

        A document that was replaced in between may have lost passages to either step, the search
        or the check of what is live: then the search is repeated.
        """
        limit = wanted + SPARE
        repeats = SEARCH_REPEATS
        while True:
            revision = self._catalogue.revision
            found = self._store.search(query, vector, scope=scope, limit=limit)
            live = self._live(found)
            if self._catalogue.revision != revision and repeats:
                repeats -= 1
            elif len(live) >= wanted or len(found) < limit:
                return live
            else:
                limit *= 4

    def _live(self, found: list[ScoredPassage]) -> list[ScoredPassage]:
        live = self._catalogue.live_generations({hit.passage.document_id for hit in found})
        return [hit for hit in found if live.get(hit.passage.document_id) == hit.passage.generation]


def _reranked(
    reranking: Reranking, query: str, found: Sequence[ScoredPassage]
) -> list[ScoredPassage]:
    """Those that were read in the budget by both scores, before the rest in fused order."""
    passages = [hit.passage for hit in found[: reranking.candidates]]
    scores = reranking.reranker.rerank(query, passages, budget_ms=reranking.budget_ms)
    read = [
        replace(hit, rerank_score=score, score=hit.fused_score + reranking.weight * log_odds(score))
        for hit, score in zip(found, scores, strict=False)
    ]
    if reranking.weight:
        read.sort(key=lambda hit: (-hit.score, hit.passage.id))
    return [*read, *found[len(read) :]]


def _best_of_each(found: Iterable[ScoredPassage], k: Mapping[str, int]) -> list[ScoredPassage]:
    taken: Counter[str] = Counter()
    best = []
    for hit in found:
        taken[hit.collection] += 1
        if taken[hit.collection] <= k[hit.collection]:
            best.append(hit)
    return best


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
