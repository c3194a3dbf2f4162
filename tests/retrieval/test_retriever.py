"""The retriever's order of steps, and what stands when one of them fails."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from retrieval.documents import Document, Passage, Scope, ScoredPassage
from retrieval.edge_store import EdgeStore
from retrieval.embedding import HashEmbedder, Vectors
from retrieval.errors import EmbeddingError, StoreError
from retrieval.reranking import (
    RERANK_CANDIDATES,
    OverlapReranker,
    Reranker,
    RerankError,
    Reranking,
)
from retrieval.retriever import HybridRetriever, Retrieved
from tests.retrieval.engines import EMBEDDER, INDEX, Place, put

VECTOR = np.full(64, 1 / 8, dtype=np.float32)


def hit(
    text: str, *, document: str = "d", generation: int = 1, score: float = 1.0
) -> ScoredPassage:
    passage = Passage(
        id=f"{document}/{generation}/{text}",
        document_id=document,
        generation=generation,
        ordinal=0,
        title="",
        heading_path=(),
        text=text,
        start=0,
        end=len(text),
    )
    return ScoredPassage(passage, "d.md", "documents", score=score, fused_score=score)


class ListStore:
    """Implements `Store`: holds one ranking and remembers what it was asked."""

    def __init__(self, *ranking: ScoredPassage) -> None:
        self.ranking = list(ranking)
        self.asked: list[Vectors | None] = []
        self.limits: list[int] = []
        self.scopes: list[Scope] = []

    def search(
        self, text: str, vector: Vectors | None, *, scope: Scope, limit: int
    ) -> list[ScoredPassage]:
        self.asked.append(vector)
        self.limits.append(limit)
        self.scopes.append(scope)
        return self.ranking[:limit]

    def upsert(self, document: Document, passages: Sequence[Passage], vectors: Vectors) -> None:
        raise AssertionError("a search writes nothing")

    def delete(self, document_id: str, *, generation: int | None = None) -> None:
        raise AssertionError("a search deletes nothing")

    def flush(self) -> None:
        raise AssertionError("a search writes nothing")

    def vectors(self, passage_ids: Sequence[str]) -> dict[str, Vectors]:
        raise AssertionError("a search reads no vectors")

    def count(self) -> int:
        return len(self.ranking)

    def counts(self) -> dict[str, int]:
        return {}

    def close(self) -> None:
        pass


class BrokenStore(ListStore):
    def search(
        self, text: str, vector: Vectors | None, *, scope: Scope, limit: int
    ) -> list[ScoredPassage]:
        raise StoreError("the index cannot be searched")


class BrokenEmbedder(HashEmbedder):
    def embed(self, texts: Sequence[str]) -> Vectors:
        raise EmbeddingError("the embedder is down")


class UnusedEmbedder(HashEmbedder):
    def embed(self, texts: Sequence[str]) -> Vectors:
        raise AssertionError("the vector was given")


class BrokenReranker:
    name = "broken"

    def rerank(
        self, query: str, passages: Sequence[Passage], *, budget_ms: float = math.inf
    ) -> list[float]:
        raise RerankError("the reranker is down")


class ByLength:
    """Prefers longer texts; remembers how many it read. Each takes a millisecond."""

    name = "by length"

    def __init__(self) -> None:
        self.read: list[int] = []

    def rerank(
        self, query: str, passages: Sequence[Passage], *, budget_ms: float = math.inf
    ) -> list[float]:
        read = passages[: int(min(budget_ms, len(passages)))]
        self.read.append(len(read))
        return [min(0.9, len(passage.text) / 30) for passage in read]


class Live:
    """Implements `LiveGenerations` on a dict."""

    def __init__(self, generations: Mapping[str, int]) -> None:
        self.generations = generations
        self.revision = 0

    def live_generations(self, document_ids: Iterable[str]) -> Mapping[str, int]:
        return {i: self.generations[i] for i in document_ids if i in self.generations}


def retriever(
    store: ListStore,
    *,
    embedder: HashEmbedder | None = None,
    reranker: Reranker | None = None,
    live: Mapping[str, int] | None = None,
    budget_ms: float = math.inf,
    rerank_weight: float = 1.0,
) -> HybridRetriever:
    return HybridRetriever(
        embedder=embedder or HashEmbedder(),
        store=store,
        catalogue=Live({"d": 1} if live is None else live),
        reranking=Reranking(reranker, weight=rerank_weight, budget_ms=budget_ms)
        if reranker
        else None,
    )


def texts(found: Retrieved) -> list[str]:
    return [item.passage.text for item in found.passages]


def test_search_without_reranker_keeps_the_fused_order() -> None:
    store = ListStore(hit("a", score=0.9), hit("bbb", score=0.5), hit("cc", score=0.4))
    found = retriever(store).search("q", 2, Scope(tenant="t"))
    assert texts(found) == ["a", "bbb"]
    assert found.degraded == ()
    assert set(found.timings_ms) == {"embed", "search"}
    assert store.scopes == [Scope(tenant="t")]


@pytest.mark.parametrize("k", [0, -1])
def test_search_for_less_than_one_passage_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1, got {k}"):
        retriever(ListStore()).search("q", k, Scope())


def test_search_with_nothing_found_does_not_ask_the_reranker() -> None:
    found = retriever(ListStore(), reranker=BrokenReranker()).search("q", 3, Scope())
    assert (found.passages, found.degraded) == ((), ())


def test_search_embeds_the_query_for_the_store() -> None:
    store = ListStore()
    retriever(store).search("two dogs", 3, Scope())
    (vector,) = store.asked
    assert vector is not None
    assert vector.tolist() == HashEmbedder().embed(["two dogs"])[0].tolist()


def test_search_with_a_given_vector_does_not_embed_again() -> None:
    store = ListStore(hit("a"))
    found = retriever(store, embedder=UnusedEmbedder()).search("q", 1, Scope(), vector=VECTOR)
    assert store.asked == [VECTOR]
    assert "embed" not in found.timings_ms


def test_search_with_the_embedder_down_goes_on_with_bm25_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = ListStore(hit("a"))
    with caplog.at_level(logging.ERROR, "retrieval"):
        found = retriever(store, embedder=BrokenEmbedder()).search("q", 1, Scope())
    assert texts(found) == ["a"]
    assert found.degraded == ("embedder",)
    assert store.asked == [None]
    assert "BM25 alone" in caplog.text


def test_search_with_the_reranker_adds_its_log_odds_to_the_fused_scores() -> None:
    store = ListStore(hit("a", score=0.9), hit("bbb", score=0.5), hit("cc", score=0.4))
    found = retriever(store, reranker=ByLength()).search("q", 2, Scope())
    assert texts(found) == ["bbb", "cc"]
    assert [(p.rerank_score, p.fused_score) for p in found.passages] == [(0.1, 0.5), (1 / 15, 0.4)]
    expected = [0.5 + math.log(1 / 9), 0.4 + math.log(1 / 14)]
    assert [p.score for p in found.passages] == pytest.approx(expected)
    assert "rerank" in found.timings_ms


@pytest.mark.parametrize(("weight", "expected"), [(0.5, ["a", "bbb"]), (0.55, ["bbb", "a"])])
def test_weight_of_the_reranker_decides_how_far_it_moves_a_passage(
    weight: float, expected: list[str]
) -> None:
    store = ListStore(hit("a", score=1.1), hit("bbb", score=0.5))  # log odds differ by 1.17
    found = retriever(store, reranker=ByLength(), rerank_weight=weight).search("q", 2, Scope())
    assert texts(found) == expected


def test_search_with_a_reranker_that_does_not_order_only_notes_its_scores() -> None:
    store = ListStore(hit("a", score=0.9), hit("bbb", score=0.5), hit("cc", score=0.4))
    found = retriever(store, reranker=ByLength(), rerank_weight=0.0).search("q", 2, Scope())
    assert texts(found) == ["a", "bbb"]
    assert [(p.score, p.rerank_score) for p in found.passages] == [(0.9, 1 / 30), (0.5, 0.1)]


def test_search_reranked_ties_break_by_id() -> None:
    store = ListStore(hit("y"), hit("x"), hit("z"))
    found = retriever(store, reranker=ByLength()).search("q", 3, Scope())
    assert texts(found) == ["x", "y", "z"]


def test_search_with_the_reranker_down_keeps_the_fused_order_and_says_so() -> None:
    store = ListStore(hit("a", score=0.9), hit("bbb", score=0.5), hit("cc", score=0.4))
    found = retriever(store, reranker=BrokenReranker()).search("q", 2, Scope())
    assert texts(found) == ["a", "bbb"]
    assert [p.score for p in found.passages] == [0.9, 0.5]
    assert {p.rerank_score for p in found.passages} == {None}
    assert found.degraded == ("reranker",)


def test_search_with_embedder_and_reranker_down_names_both() -> None:
    found = retriever(
        ListStore(hit("a")), embedder=BrokenEmbedder(), reranker=BrokenReranker()
    ).search("q", 1, Scope())
    assert found.degraded == ("embedder", "reranker")


def test_search_reads_a_fixed_number_of_candidates_with_the_reranker() -> None:
    store, reranker = ListStore(*(hit(f"{n:03}") for n in range(60))), ByLength()
    found = retriever(store, reranker=reranker).search("q", 3, Scope())
    assert reranker.read == [RERANK_CANDIDATES]
    assert len(found.passages) == 3


def test_search_for_more_than_the_candidates_adds_the_others_in_fused_order() -> None:
    ranking = [hit("a" * (n + 1), score=-n / 1000) for n in range(60)]
    reranker = ByLength()
    found = retriever(ListStore(*ranking), reranker=reranker).search("q", 30, Scope())
    assert reranker.read == [RERANK_CANDIDATES]
    assert [len(text) for text in texts(found)] == [
        *range(RERANK_CANDIDATES, 0, -1),
        *range(RERANK_CANDIDATES + 1, 31),
    ]
    assert {item.rerank_score for item in found.passages[RERANK_CANDIDATES:]} == {None}


def test_search_whose_budget_ends_keeps_the_unread_in_fused_order() -> None:
    store = ListStore(*(hit(text) for text in ("a", "bb", "eeeee", "dddd", "ccc")))
    found = retriever(store, reranker=ByLength(), budget_ms=3).search("q", 5, Scope())
    assert texts(found) == ["eeeee", "bb", "a", "dddd", "ccc"]
    assert found.degraded == ()


def test_search_with_the_store_down_raises() -> None:
    with pytest.raises(StoreError):
        retriever(BrokenStore()).search("q", 1, Scope())


def test_search_drops_generations_that_are_not_live() -> None:
    store = ListStore(
        hit("replaced", generation=1),
        hit("live", generation=2),
        hit("pending", generation=3),
        hit("deleted", document="gone"),
    )
    assert texts(retriever(store, live={"d": 2}).search("q", 4, Scope())) == ["live"]


def test_search_does_not_show_dropped_passages_to_the_reranker() -> None:
    store, reranker = ListStore(hit("old", generation=1), hit("new", generation=2)), ByLength()
    retriever(store, reranker=reranker, live={"d": 2}).search("q", 2, Scope())
    assert reranker.read == [1]


def test_search_fills_the_places_of_up_to_k_dropped_passages() -> None:
    stale = [hit(f"old {n}", generation=1) for n in range(3)]
    live = [hit(f"new {n}", generation=2) for n in range(3)]
    found = retriever(ListStore(*stale, *live), live={"d": 2}).search("q", 3, Scope())
    assert texts(found) == ["new 0", "new 1", "new 2"]


def test_search_behind_many_dropped_passages_still_finds_the_live_one() -> None:
    stale = [hit(f"old {n}", generation=1) for n in range(6)]
    found = retriever(ListStore(*stale, hit("new", generation=2)), live={"d": 2})
    assert texts(found.search("q", 1, Scope())) == ["new"]


def test_search_during_a_replacement_is_repeated() -> None:
    live = Live({"d": 1})

    class Replaced(ListStore):
        """Its first search ends just before the new generation begins to answer."""

        def search(
            self, text: str, vector: Vectors | None, *, scope: Scope, limit: int
        ) -> list[ScoredPassage]:
            found = super().search(text, vector, scope=scope, limit=limit)
            if live.revision == 0:
                live.revision, live.generations = 1, {"d": 2}
                self.ranking.append(hit("new", generation=2))
            return found

    searching = HybridRetriever(embedder=HashEmbedder(), store=Replaced(hit("old")), catalogue=live)
    assert texts(searching.search("query", 5, Scope())) == ["new"]


def test_search_while_replacements_never_end_gives_what_it_has() -> None:
    class Restless(Live):
        def live_generations(self, document_ids: Iterable[str]) -> Mapping[str, int]:
            self.revision += 1
            return super().live_generations(document_ids)

    store = ListStore(hit("a"))
    searching = HybridRetriever(embedder=HashEmbedder(), store=store, catalogue=Restless({"d": 1}))
    assert texts(searching.search("query", 5, Scope())) == ["a"]


def test_search_with_the_shipped_fake_reranker_puts_the_word_match_first() -> None:
    store = ListStore(hit("cats sleep", score=0.9), hit("dogs fly", score=0.1))
    found = retriever(store, reranker=OverlapReranker()).search("do dogs fly", 2, Scope())
    assert texts(found) == ["dogs fly", "cats sleep"]


# A k for each of several collections, over the real engine.


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeStore]:
    """Three collections: three cases, two statutes and one letter about dogs, and a secret one."""
    store = EdgeStore(tmp_path_factory.mktemp("library") / "index", INDEX)
    numbers = {"cases": 3, "statutes": 2, "letters": 1}
    for collection, number in numbers.items():
        for n in range(number):
            filler = " ".join(["more"] * n)  # the fewer other words, the better the match
            put(store, f"{collection}{n}", f"dogs {filler}", place=Place(collection=collection))
    secret = Place(collection="cases", groups=("judges",))
    put(store, "secret", "dogs dogs", place=secret)
    yield store
    store.close()


class AllLive:
    """Every document's first generation answers."""

    revision = 0

    def live_generations(self, document_ids: Iterable[str]) -> dict[str, int]:
        return dict.fromkeys(document_ids, 1)


def found_in(
    store: EdgeStore, k: int | dict[str, int], scope: Scope | None = None, **parts: Any
) -> list[str]:
    searching = HybridRetriever(embedder=EMBEDDER, store=store, catalogue=AllLive(), **parts)
    found = searching.search("dogs", k, scope or Scope())
    return [hit.passage.document_id for hit in found.passages]


@pytest.mark.parametrize(
    ("k", "expected"),
    [
        ({"cases": 2, "statutes": 1}, ["cases0", "statutes0", "cases1"]),
        ({"statutes": 1, "cases": 2}, ["statutes0", "cases0", "cases1"]),
        ({"statutes": 5, "letters": 5}, ["statutes0", "letters0", "statutes1"]),
        ({"letters": 1}, ["letters0"]),
        ({"none": 3, "letters": 1}, ["letters0"]),
    ],
)
def test_each_collection_gives_its_own_k(
    library: EdgeStore, k: dict[str, int], expected: list[str]
) -> None:
    assert found_in(library, k) == expected


def test_collections_outside_of_the_scope_give_nothing(library: EdgeStore) -> None:
    within = Scope(collections=("statutes",))
    assert found_in(library, {"cases": 2, "statutes": 1}, within) == ["statutes0"]


def test_reranker_orders_over_collections_and_each_keeps_its_k(library: EdgeStore) -> None:
    found = found_in(
        library, {"cases": 1, "statutes": 2}, reranking=Reranking(ByLength(), weight=10.0)
    )
    assert found == ["cases2", "statutes1", "statutes0"]


@pytest.mark.parametrize("k", [{}, {"cases": 0}, {"cases": 3, "letters": -1}])
def test_k_of_a_collection_is_at_least_one(library: EdgeStore, k: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        found_in(library, k)
