"""The Edge shard: its scores against the formulas, its filters against brute force."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
import qdrant_edge
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.documents import (
    EVERYONE,
    Document,
    Passage,
    Scope,
    ScoredPassage,
    content_sha256,
    passage_id,
)
from retrieval.edge_store import MANIFEST, EdgeStore, IndexManifest
from retrieval.embedding import HashEmbedder
from retrieval.errors import IndexMismatchError, StoreError

EMBEDDER = HashEmbedder()
AVG_LEN = 5.0
INDEX = IndexManifest(embedder="hash", dimension=64, avg_len=AVG_LEN)

TEXTS = {  # "in", "the", "and", "for", "on" are stop words
    "hold": "dogs fly in the hold",
    "pets": "dogs dogs and cats",
    "fees": "fees for cats",
    "wifi": "wifi on board, dogs welcome, water bowls cost two euros",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Whose document it is, and where it lies."""

    tenant: str = "default"
    groups: tuple[str, ...] = (EVERYONE,)
    collection: str = "documents"


def put(
    store: EdgeStore, name: str, *texts: str, generation: int = 1, place: Place | None = None
) -> None:
    """Add a document of one passage for each text."""
    place = place or Place()
    document = Document(
        id=name,
        title="",
        text="\n".join(texts),
        source=f"{name}.md",
        collection=place.collection,
        tenant=place.tenant,
        groups=place.groups,
        sha256=content_sha256("\n".join(texts).encode()),
        generation=generation,
        updated_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    passages = [
        Passage(
            id=passage_id(document=name, generation=generation, ordinal=ordinal),
            document_id=name,
            generation=generation,
            ordinal=ordinal,
            title="",
            heading_path=(),
            text=text,
            start=0,
            end=len(text),
        )
        for ordinal, text in enumerate(texts)
    ]
    store.upsert(document, passages, EMBEDDER.embed([p.searchable for p in passages]))


def hybrid(store: EdgeStore, query: str, scope: Scope | None = None) -> list[ScoredPassage]:
    vector = EMBEDDER.embed([query])[0]
    return store.search(query, vector, scope=scope or Scope(), limit=50)


def bm25(store: EdgeStore, query: str, scope: Scope | None = None) -> list[ScoredPassage]:
    return store.search(query, None, scope=scope or Scope(), limit=50)


def names(found: list[ScoredPassage]) -> list[str]:
    return [hit.passage.document_id for hit in found]


# Making a shard takes long, so tests share two of them.


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeStore]:
    store = EdgeStore(tmp_path_factory.mktemp("shard") / "index", INDEX)
    yield store
    store.close()


@pytest.fixture
def store(shard: EdgeStore) -> Iterator[EdgeStore]:
    """Empty, and emptied again after the test."""
    yield shard
    for name in set(names(hybrid(shard, "anything"))):
        shard.delete(name)
    assert shard.count() == 0


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeStore]:
    """Holds `TEXTS`, for reading."""
    store = EdgeStore(tmp_path_factory.mktemp("filled") / "index", INDEX)
    for name, text in TEXTS.items():
        put(store, name, text)
    yield store
    store.close()


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
def test_search_bm25_scores_equal_the_formula(filled: EdgeStore, query: str) -> None:
    found = bm25(filled, query)
    expected = bm25_by_hand(query, TEXTS, avg_len=AVG_LEN)
    assert {hit.passage.document_id: hit.score for hit in found} == pytest.approx(
        expected, abs=1e-5
    )
    assert names(found) == sorted(expected, key=lambda name: -expected[name])


def test_search_bm25_scores_use_the_average_length_of_the_manifest(tmp_path: Path) -> None:
    manifest = IndexManifest(embedder="hash", dimension=64, avg_len=50.0)
    store = EdgeStore(tmp_path / "index", manifest)
    for name, text in TEXTS.items():
        put(store, name, text)
    found = {hit.passage.document_id: hit.score for hit in bm25(store, "dogs cats")}
    store.close()
    assert found == pytest.approx(bm25_by_hand("dogs cats", TEXTS, avg_len=50.0), abs=1e-5)


def test_search_bm25_statistics_leave_other_tenants_out(filled: EdgeStore) -> None:
    before = [(hit.passage.id, hit.score) for hit in bm25(filled, "dogs cats")]
    put(filled, "foreign", *["dogs everywhere"] * 5, place=Place(tenant="other"))
    after = [(hit.passage.id, hit.score) for hit in bm25(filled, "dogs cats")]
    filled.delete("foreign")
    assert after == before


def test_search_without_vector_reports_bm25_alone(filled: EdgeStore) -> None:
    found = bm25(filled, "cats")
    assert names(found) == ["fees", "pets"]  # the shorter passage first
    assert [hit.bm25_rank for hit in found] == [1, 2]
    assert [hit.score for hit in found] == [hit.bm25_score for hit in found]
    assert {(hit.dense_rank, hit.dense_score) for hit in found} == {(None, None)}


@pytest.mark.parametrize("query", ["the", "", "?!", "zeppelin"])
def test_search_without_a_known_word_finds_nothing_by_bm25(filled: EdgeStore, query: str) -> None:
    assert bm25(filled, query) == []


# Both legs.


def test_search_dense_scores_are_cosines_with_their_ranks(filled: EdgeStore) -> None:
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


def test_search_with_vector_fuses_both_legs_by_their_distribution(filled: EdgeStore) -> None:
    query = "dogs cats"
    vectors = EMBEDDER.embed([query, *TEXTS.values()])
    dense = normalised(dict(zip(TEXTS, (vectors[1:] @ vectors[0]).tolist(), strict=True)))
    sparse = normalised(bm25_by_hand(query, TEXTS, avg_len=AVG_LEN))
    fused = {name: dense[name] + sparse.get(name, 0) for name in TEXTS}
    found = hybrid(filled, query)
    assert {h.passage.document_id: h.fused_score for h in found} == pytest.approx(fused, abs=1e-4)
    assert names(found) == sorted(fused, key=lambda name: -fused[name])
    assert [hit.score for hit in found] == [hit.fused_score for hit in found]


def test_search_passage_found_by_one_leg_alone_leaves_the_other_empty(filled: EdgeStore) -> None:
    (wifi,) = [hit for hit in hybrid(filled, "cats") if hit.passage.document_id == "wifi"]
    assert (wifi.bm25_rank, wifi.bm25_score) == (None, None)
    assert wifi.dense_rank is not None


def test_search_question_of_stop_words_alone_still_ranks_by_vector(filled: EdgeStore) -> None:
    assert names(hybrid(filled, "in the"))[0] == "hold"


def test_search_limit_cuts_the_list(filled: EdgeStore) -> None:
    vector = EMBEDDER.embed(["dogs cats"])[0]
    best = names(hybrid(filled, "dogs cats"))[:2]
    assert names(filled.search("dogs cats", vector, scope=Scope(), limit=2)) == best


def test_search_ties_come_in_the_same_order_each_time(store: EdgeStore) -> None:
    for name in "abcdef":
        put(store, name, "the same dogs")
    assert len({tuple(names(hybrid(store, "dogs"))) for _ in range(10)}) == 1


def test_search_returns_the_passage_as_it_was_stored(store: EdgeStore) -> None:
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


def test_search_vector_of_another_length_is_a_store_error(filled: EdgeStore) -> None:
    with pytest.raises(StoreError, match="expected dim: 64, got 3"):
        filled.search("dogs", np.ones(3, dtype=np.float32), scope=Scope(), limit=5)


def test_search_of_an_empty_store_finds_nothing(store: EdgeStore) -> None:
    assert hybrid(store, "dogs") == []


# Scope: every place that a document can have, against brute force.

GROUPS = (EVERYONE, "staff", "legal")
GROUP_SETS = [groups for size in (1, 2, 3) for groups in combinations(GROUPS, size)]
PLACES = {
    f"{number}": Place(tenant, groups, collection)
    for number, (tenant, groups, collection) in enumerate(
        product(("default", "other"), GROUP_SETS, ("policies", "notices"))
    )
}


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeStore]:
    store = EdgeStore(tmp_path_factory.mktemp("scopes") / "index", INDEX)
    for name, place in PLACES.items():
        put(store, name, f"dogs number {name}", place=place)
    yield store
    store.close()


@settings(max_examples=60, deadline=None)
@given(
    scope=st.builds(
        Scope,
        tenant=st.sampled_from(["default", "other", "nobody"]),
        groups=st.sets(st.sampled_from([*GROUPS, "stranger"])).map(tuple),
        collections=st.sets(st.sampled_from(["policies", "notices", "none"])).map(tuple),
    )
)
def test_search_finds_all_of_the_scope_and_nothing_else(
    shared_store: EdgeStore, scope: Scope
) -> None:
    visible = {
        name
        for name, place in PLACES.items()
        if place.tenant == scope.tenant
        and set(place.groups) & set(scope.groups)
        and (not scope.collections or place.collection in scope.collections)
    }
    assert set(names(bm25(shared_store, "dogs", scope))) == visible
    assert set(names(hybrid(shared_store, "dogs", scope))) == visible


# Writing.


def test_upsert_of_the_same_passages_replaces_them(store: EdgeStore) -> None:
    put(store, "hold", "dogs fly in the hold")
    put(store, "hold", "cats fly in the hold")
    assert store.count() == 1
    assert bm25(store, "dogs") == []
    assert names(bm25(store, "cats")) == ["hold"]


def test_upsert_of_more_than_a_batch_stores_all(store: EdgeStore) -> None:
    put(store, "long", *(f"dogs {number}" for number in range(501)))
    assert store.count() == 501


def test_upsert_of_no_passages_stores_none(store: EdgeStore) -> None:
    put(store, "empty")
    assert store.count() == 0


def test_upsert_with_too_few_vectors_is_refused(store: EdgeStore) -> None:
    put(store, "one", "dogs")
    (hit,) = bm25(store, "dogs")
    document = Document(
        "d", "", "", "", "", "default", (EVERYONE,), "", 1, datetime(2026, 1, 1, tzinfo=UTC)
    )
    with pytest.raises(ValueError, match="1 passages but 0 vectors"):
        store.upsert(document, [hit.passage], EMBEDDER.embed([]))


def test_delete_of_a_generation_leaves_the_other(store: EdgeStore) -> None:
    put(store, "hold", "old dogs", "more old dogs", generation=1)
    put(store, "hold", "new dogs", generation=2)
    put(store, "pets", "other dogs", generation=1)
    store.delete("hold", generation=1)
    assert sorted(hit.passage.text for hit in bm25(store, "dogs")) == ["new dogs", "other dogs"]


def test_delete_of_a_document_removes_every_generation_of_it_alone(store: EdgeStore) -> None:
    put(store, "hold", "old dogs", generation=1)
    put(store, "hold", "new dogs", generation=2)
    put(store, "pets", "other dogs")
    store.delete("hold")
    assert names(bm25(store, "dogs")) == ["pets"]


def test_delete_of_what_is_not_there_changes_nothing(filled: EdgeStore) -> None:
    filled.delete("unknown")
    filled.delete("hold", generation=9)
    assert filled.count() == len(TEXTS)


def test_counts_are_by_document_over_its_generations(store: EdgeStore) -> None:
    put(store, "hold", "old dogs", "more old dogs", generation=1)
    put(store, "hold", "new dogs", generation=2)
    put(store, "pets", "other dogs")
    assert store.counts() == {"hold": 3, "pets": 1}
    store.delete("hold", generation=1)
    store.delete("pets")
    assert store.counts() == {"hold": 1}


def test_vectors_come_back_bit_for_bit_by_their_text(store: EdgeStore) -> None:
    put(store, "hold", "dogs fly in the hold", "cats too")
    ids = [passage_id(document="hold", generation=1, ordinal=ordinal) for ordinal in (0, 1, 2)]
    found = store.vectors(ids)
    assert found.keys() == {"dogs fly in the hold", "cats too"}
    for text, vector in found.items():
        assert vector.dtype == np.float32
        assert vector.tobytes() == EMBEDDER.embed([text])[0].tobytes()
    assert store.vectors([]) == {}


# Opening.


def test_open_again_keeps_points_and_scores(tmp_path: Path) -> None:
    store = EdgeStore(tmp_path / "index", INDEX)
    for name, text in TEXTS.items():
        put(store, name, text)
    before = [(hit.passage, hit.score) for hit in bm25(store, "dogs cats")]
    store.close()
    reopened = EdgeStore(tmp_path / "index", INDEX)
    after = [(hit.passage, hit.score) for hit in bm25(reopened, "dogs cats")]
    reopened.close()
    assert after == before


def test_open_of_a_held_folder_says_so(tmp_path: Path) -> None:
    holder = EdgeStore(tmp_path / "index", INDEX)
    with pytest.raises(StoreError, match="is another process using it") as raised:
        EdgeStore(tmp_path / "index", INDEX)
    holder.close()
    assert str(tmp_path / "index") in str(raised.value)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (IndexManifest("bert", 64, avg_len=AVG_LEN), "embedder 'hash'.*ask for 'bert'"),
        (IndexManifest("hash", 64, "german", AVG_LEN), "language 'english'.*ask for 'german'"),
        pytest.param(
            IndexManifest("hash", 64, avg_len=50.0),
            "avg_len",
        ),
        pytest.param(
            IndexManifest("hash", 32, avg_len=AVG_LEN),
            "dimension",
        ),
    ],
)
def test_open_with_another_manifest_is_refused(
    tmp_path: Path, asked: IndexManifest, message: str
) -> None:
    EdgeStore(tmp_path / "index", INDEX).close()
    with pytest.raises(IndexMismatchError, match=message):
        EdgeStore(tmp_path / "index", asked).close()


def test_open_refused_for_its_manifest_leaves_the_index_usable(tmp_path: Path) -> None:
    EdgeStore(tmp_path / "index", INDEX).close()
    with pytest.raises(IndexMismatchError):
        EdgeStore(tmp_path / "index", IndexManifest("bert", 64))
    EdgeStore(tmp_path / "index", INDEX).close()


def test_open_writes_its_manifest(tmp_path: Path) -> None:
    EdgeStore(tmp_path / "index", INDEX).close()
    stored = json.loads((tmp_path / "index" / MANIFEST).read_text())
    expected = {"embedder": "hash", "dimension": 64, "language": "english", "avg_len": AVG_LEN}
    assert stored == expected


def test_open_with_a_damaged_manifest_names_the_remedy(tmp_path: Path) -> None:
    EdgeStore(tmp_path / "index", INDEX).close()
    (tmp_path / "index" / MANIFEST).write_text('{"embedder": ')
    with pytest.raises(StoreError, match="twofold documents rebuild"):
        EdgeStore(tmp_path / "index", INDEX)


def test_open_of_an_index_whose_making_was_cut_short_makes_it_anew(tmp_path: Path) -> None:
    EdgeStore(tmp_path / "index", INDEX).close()
    (tmp_path / "index" / MANIFEST).unlink()
    store = EdgeStore(tmp_path / "index", INDEX)
    put(store, "cats", "cats sleep")
    assert names(bm25(store, "cats")) == ["cats"]
    store.close()


def test_open_with_an_unknown_language_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="klingon"):
        EdgeStore(tmp_path / "index", IndexManifest("hash", 64, "klingon"))
    EdgeStore(tmp_path / "index", INDEX).close()


def test_search_after_close_is_a_store_error(tmp_path: Path) -> None:
    store = EdgeStore(tmp_path / "index", INDEX)
    store.close()
    with pytest.raises(StoreError, match="cannot be searched"):
        bm25(store, "dogs")
