"""What holds for every store: its scores against the formulas, its writing, its opening."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import numpy as np
import pytest
import qdrant_edge

from retrieval.documents import EVERYONE, Document, Passage, Scope, passage_id
from retrieval.errors import IndexMismatchError, StoreError
from retrieval.points import IndexManifest
from retrieval.store import Store
from tests.retrieval.conftest import NewEngine
from tests.retrieval.engines import (
    AVG_LEN,
    EMBEDDER,
    INDEX,
    Engine,
    Place,
    bm25,
    hybrid,
    names,
    put,
)

TEXTS = {  # "in", "the", "and", "for", "on" are stop words
    "hold": "dogs fly in the hold",
    "pets": "dogs dogs and cats",
    "fees": "fees for cats",
    "wifi": "wifi on board, dogs welcome, water bowls cost two euros",
}


# Making an index takes long, so tests share two of them.


@pytest.fixture(scope="module")
def shared(new_engine: NewEngine) -> Iterator[Store]:
    engine = new_engine()
    store = engine.open()
    yield store
    engine.leave(store)


@pytest.fixture
def store(shared: Store) -> Iterator[Store]:
    """Empty, and emptied again after the test."""
    yield shared
    for name in set(names(hybrid(shared, "anything"))):
        shared.delete(name)
    assert shared.count() == 0


@pytest.fixture(scope="module")
def filled(new_engine: NewEngine) -> Iterator[Store]:
    """Holds `TEXTS`, for reading."""
    engine = new_engine()
    store = engine.open()
    for name, text in TEXTS.items():
        put(store, name, text)
    yield store
    engine.leave(store)


# BM25, by hand.


def terms(text: str) -> list[int]:
    """Every token of a text, repeated ones too: the engine's tokenizer, one word at a time."""
    tokenizer = qdrant_edge.Bm25(qdrant_edge.Bm25Config(language="english"))
    return [index for word in text.split() for index in tokenizer.embed_query(word).indices]


def bm25_by_hand(query: str, texts: Mapping[str, str], *, avg_len: float) -> dict[str, float]:
    """Lucene's BM25 with k1 = 1.2, b = 0.75: the scores above zero."""
    k1, b = 1.2, 0.75
    tokens = {name: terms(text) for name, text in texts.items()}
    scores = {}
    for name, own in tokens.items():
        score = 0.0
        for term in set(terms(query)):
            holders = sum(term in other for other in tokens.values())
            idf = math.log(1 + (len(texts) - holders + 0.5) / (holders + 0.5))
            tf = own.count(term)
            score += idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * len(own) / avg_len))
        if score > 0:
            scores[name] = score
    return scores


def test_bm25_by_hand_of_one_document_equals_the_written_out_number() -> None:
    # N = n = 1, tf = 1, length 3 of avg_len 5: ln(1 + 0.5 / 1.5) · 2.2 / (1 + 1.2 · 0.7)
    scores = bm25_by_hand("dog", {"hold": TEXTS["hold"]}, avg_len=5.0)
    assert scores == {"hold": pytest.approx(math.log(4 / 3) * 2.2 / 1.84)}


@pytest.mark.parametrize("query", ["dogs", "dogs cats", "the cat's fee", "cats cats", "2 euro"])
def test_search_bm25_scores_equal_the_formula(filled: Store, query: str) -> None:
    found = bm25(filled, query)
    expected = bm25_by_hand(query, TEXTS, avg_len=AVG_LEN)
    assert {hit.passage.document_id: hit.score for hit in found} == pytest.approx(
        expected, abs=1e-5
    )
    assert names(found) == sorted(expected, key=lambda name: -expected[name])


def test_search_bm25_scores_use_the_average_length_of_the_manifest(engine: Engine) -> None:
    store = engine.open(IndexManifest(embedder="hash", dimension=64, avg_len=50.0))
    for name, text in TEXTS.items():
        put(store, name, text)
    found = {hit.passage.document_id: hit.score for hit in bm25(store, "dogs cats")}
    engine.leave(store)
    assert found == pytest.approx(bm25_by_hand("dogs cats", TEXTS, avg_len=50.0), abs=1e-5)


def test_search_bm25_statistics_leave_other_tenants_out(filled: Store) -> None:
    before = [(hit.passage.id, hit.score) for hit in bm25(filled, "dogs cats")]
    put(filled, "foreign", *["dogs everywhere"] * 5, place=Place(tenant="other"))
    after = [(hit.passage.id, hit.score) for hit in bm25(filled, "dogs cats")]
    filled.delete("foreign")
    assert after == before


def test_search_without_vector_reports_bm25_alone(filled: Store) -> None:
    found = bm25(filled, "cats")
    assert names(found) == ["fees", "pets"]  # the shorter passage first
    assert [hit.bm25_rank for hit in found] == [1, 2]
    assert [hit.score for hit in found] == [hit.bm25_score for hit in found]
    assert {(hit.dense_rank, hit.dense_score) for hit in found} == {(None, None)}


@pytest.mark.parametrize("query", ["the", "", "?!", "zeppelin"])
def test_search_without_a_known_word_finds_nothing_by_bm25(filled: Store, query: str) -> None:
    assert bm25(filled, query) == []


# Both legs.


def test_search_dense_scores_are_cosines_with_their_ranks(filled: Store) -> None:
    query = "dogs fly and wifi fees and fees"
    vectors = EMBEDDER.embed([query, *TEXTS.values()])
    cosines = dict(zip(TEXTS, (vectors[1:] @ vectors[0]).tolist(), strict=True))
    found = hybrid(filled, query)
    scores = {hit.passage.document_id: hit.dense_score for hit in found}
    assert scores == pytest.approx(cosines, abs=1e-5)
    ranked = sorted(found, key=lambda hit: hit.dense_rank or 0)
    assert [hit.dense_rank for hit in ranked] == [1, 2, 3, 4]
    assert names(ranked) == sorted(cosines, key=lambda name: -cosines[name])


def normalised(scores: Mapping[str, float]) -> dict[str, float]:
    """DBSF: mean - 3 sigma is 0, mean + 3 sigma is 1; of the sample, as the engine has it."""
    mean, sigma = statistics.mean(scores.values()), statistics.stdev(scores.values())
    return {name: (score - mean + 3 * sigma) / (6 * sigma) for name, score in scores.items()}


def test_search_with_vector_fuses_both_legs_by_their_distribution(filled: Store) -> None:
    query = "dogs cats"
    vectors = EMBEDDER.embed([query, *TEXTS.values()])
    dense = normalised(dict(zip(TEXTS, (vectors[1:] @ vectors[0]).tolist(), strict=True)))
    sparse = normalised(bm25_by_hand(query, TEXTS, avg_len=AVG_LEN))
    fused = {name: dense[name] + sparse.get(name, 0) for name in TEXTS}
    found = hybrid(filled, query)
    assert {h.passage.document_id: h.fused_score for h in found} == pytest.approx(fused, abs=1e-4)
    assert names(found) == sorted(fused, key=lambda name: -fused[name])
    assert [hit.score for hit in found] == [hit.fused_score for hit in found]


def test_search_passage_found_by_one_leg_alone_leaves_the_other_empty(filled: Store) -> None:
    (wifi,) = [hit for hit in hybrid(filled, "cats") if hit.passage.document_id == "wifi"]
    assert (wifi.bm25_rank, wifi.bm25_score) == (None, None)
    assert wifi.dense_rank is not None


def test_search_question_of_stop_words_alone_still_ranks_by_vector(filled: Store) -> None:
    assert names(hybrid(filled, "in the"))[0] == "hold"


def test_search_limit_cuts_the_list(filled: Store) -> None:
    vector = EMBEDDER.embed(["dogs cats"])[0]
    best = names(hybrid(filled, "dogs cats"))[:2]
    assert names(filled.search("dogs cats", vector, scope=Scope(), limit=2)) == best


def test_search_ties_come_in_the_same_order_each_time(store: Store) -> None:
    for name in "abcdef":
        put(store, name, "the same dogs")
    assert len({tuple(names(hybrid(store, "dogs"))) for _ in range(10)}) == 1


def test_search_returns_the_passage_as_it_was_stored(store: Store) -> None:
    document = Document(
        id="d",
        title="Tïtle",
        text="x",
        source="a/b.md",
        collection="policies",
        tenant="default",
        groups=(EVERYONE, "staff"),
        sha256="",
        generation=7,
        updated_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    passage = Passage(
        id=passage_id(document="d", generation=7, ordinal=3),
        document_id="d",
        generation=7,
        ordinal=3,
        title="Tïtle",
        heading_path=("A", "B 🐕"),
        text="dogs",
        start=12,
        end=16,
        table_header="| h |",
    )
    store.upsert(document, [passage], EMBEDDER.embed([passage.searchable]))
    (hit,) = hybrid(store, "dogs")
    assert hit.passage == passage
    assert (hit.source, hit.collection, hit.rerank_score) == ("a/b.md", "policies", None)


def test_search_vector_of_another_length_is_a_store_error(filled: Store) -> None:
    with pytest.raises(StoreError, match="the index cannot be searched"):
        filled.search("dogs", np.ones(3, dtype=np.float32), scope=Scope(), limit=5)


def test_search_of_an_empty_store_finds_nothing(store: Store) -> None:
    assert hybrid(store, "dogs") == []


# Writing.


def test_upsert_of_the_same_passages_replaces_them(store: Store) -> None:
    put(store, "hold", "dogs fly in the hold")
    put(store, "hold", "cats fly in the hold")
    assert store.count() == 1
    assert bm25(store, "dogs") == []
    assert names(bm25(store, "cats")) == ["hold"]


def test_upsert_of_more_than_a_batch_stores_all(store: Store) -> None:
    put(store, "long", *(f"dogs {number}" for number in range(501)))
    assert store.count() == 501


def test_upsert_of_no_passages_stores_none(store: Store) -> None:
    put(store, "empty")
    assert store.count() == 0


def test_upsert_with_too_few_vectors_is_refused(store: Store) -> None:
    put(store, "one", "dogs")
    (hit,) = bm25(store, "dogs")
    document = Document(
        "d", "", "", "", "", "default", (EVERYONE,), "", 1, datetime(2026, 1, 1, tzinfo=UTC)
    )
    with pytest.raises(ValueError, match="1 passages but 0 vectors"):
        store.upsert(document, [hit.passage], EMBEDDER.embed([]))


def test_delete_of_a_generation_leaves_the_other(store: Store) -> None:
    put(store, "hold", "old dogs", "more old dogs", generation=1)
    put(store, "hold", "new dogs", generation=2)
    put(store, "pets", "other dogs", generation=1)
    store.delete("hold", generation=1)
    assert sorted(hit.passage.text for hit in bm25(store, "dogs")) == ["new dogs", "other dogs"]


def test_delete_of_a_document_removes_every_generation_of_it_alone(store: Store) -> None:
    put(store, "hold", "old dogs", generation=1)
    put(store, "hold", "new dogs", generation=2)
    put(store, "pets", "other dogs")
    store.delete("hold")
    assert names(bm25(store, "dogs")) == ["pets"]


def test_delete_of_what_is_not_there_changes_nothing(filled: Store) -> None:
    filled.delete("unknown")
    filled.delete("hold", generation=9)
    assert filled.count() == len(TEXTS)


# Reading back.


def test_counts_are_by_document_over_its_generations(store: Store) -> None:
    put(store, "hold", "old dogs", "more old dogs", generation=1)
    put(store, "hold", "new dogs", generation=2)
    put(store, "pets", "other dogs")
    assert store.counts() == {"hold": 3, "pets": 1}
    store.delete("hold", generation=1)
    store.delete("pets")
    assert store.counts() == {"hold": 1}


def test_vectors_come_back_by_their_text(store: Store) -> None:
    put(store, "hold", "dogs fly in the hold", "cats too")
    ids = [passage_id(document="hold", generation=1, ordinal=ordinal) for ordinal in (0, 1, 2)]
    found = store.vectors(ids)
    assert found.keys() == {"dogs fly in the hold", "cats too"}
    for text, vector in found.items():
        assert vector.dtype == np.float32
        assert vector.shape == (64,)
        assert vector == pytest.approx(EMBEDDER.embed([text])[0], abs=1e-6)
    assert store.vectors([]) == {}


def test_vectors_of_many_passages_come_back(store: Store) -> None:
    put(store, "long", *(f"dogs {number}" for number in range(501)))
    ids = [passage_id(document="long", generation=1, ordinal=ordinal) for ordinal in range(501)]
    assert len(store.vectors(ids)) == 501


def test_flush_keeps_everything(store: Store) -> None:
    put(store, "hold", "dogs")
    store.flush()
    assert store.count() == 1


# Opening.


def test_open_again_keeps_points_and_scores(engine: Engine) -> None:
    store = engine.open()
    for name, text in TEXTS.items():
        put(store, name, text)
    before = [(hit.passage, hit.score) for hit in bm25(store, "dogs cats")]
    engine.leave(store)
    reopened = engine.open()
    after = [(hit.passage, hit.score) for hit in bm25(reopened, "dogs cats")]
    engine.leave(reopened)
    assert after == before


def test_open_with_another_manifest_is_refused_and_leaves_the_index_usable(engine: Engine) -> None:
    others = {
        "embedder 'hash'.*ask for 'bert'": IndexManifest("bert", 64, avg_len=AVG_LEN),
        "language 'english'.*ask for 'german'": IndexManifest("hash", 64, "german", AVG_LEN),
        "avg_len": IndexManifest("hash", 64, avg_len=50.0),
        "dimension": IndexManifest("hash", 32, avg_len=AVG_LEN),
    }
    engine.leave(engine.open())
    for message, other in others.items():
        with pytest.raises(IndexMismatchError, match=message):
            engine.open(other)
    engine.leave(engine.open(INDEX))


def test_open_with_an_unknown_language_is_refused_and_leaves_nothing(engine: Engine) -> None:
    with pytest.raises(StoreError, match="klingon"):
        engine.open(IndexManifest("hash", 64, "klingon"))
    engine.leave(engine.open())


def test_search_after_close_is_a_store_error(engine: Engine) -> None:
    store = engine.open()
    store.close()
    with pytest.raises(StoreError, match="cannot be searched"):
        bm25(store, "dogs")
