"""Fusion of lists: by hand, and against the engine's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from eval.bench.stages import engines_own
from retrieval.documents import Scope
from retrieval.edge_query import Bm25Leg, DenseLeg, best, legs
from retrieval.edge_store import EdgeStore
from retrieval.fusion import fuse
from retrieval.points import leg_of
from tests.retrieval.engines import EMBEDDER, INDEX, put


def test_scores_are_counted_in_deviations_from_their_lists_mean() -> None:
    fused = fuse([{"a": 3.0, "b": 2.0, "c": 1.0}, {"b": 30.0, "d": 10.0}])

    assert fused["a"] == pytest.approx(0.5 + 1 / 6)
    assert fused["c"] == pytest.approx(0.5 - 1 / 6)
    assert fused["b"] == pytest.approx(0.5 + (0.5 + 1 / (6 * 2**0.5)))
    assert fused["d"] == pytest.approx(0.5 - 1 / (6 * 2**0.5))


@pytest.mark.parametrize("scores", [{"a": 7.0}, {"a": 7.0, "b": 7.0}])
def test_what_is_all_the_same_is_in_the_middle(scores: dict[str, float]) -> None:
    assert fuse([scores]) == dict.fromkeys(scores, 0.5)


def test_nothing_found_is_nothing_fused() -> None:
    assert fuse([]) == fuse([{}, {}]) == {}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeStore]:
    folder: Path = tmp_path_factory.mktemp("fusion")
    with closing(EdgeStore(folder / "index", INDEX)) as store:
        for number in range(30):
            rare = "rare" if number == 4 else ""
            put(store, f"d{number}", *(f"word{number} line{line} {rare}" for line in range(9)))
        put(store, "alone", "only here")
        yield store


@pytest.mark.parametrize(
    "question", ["word3", "word3 line5", "rare line2", "only", "line8", "unheard", "word1 word2"]
)
def test_the_engines_own_fusion_gives_the_same_scores(store: EdgeStore, question: str) -> None:
    (vector,) = EMBEDDER.embed([question])
    dense, bm25 = DenseLeg.of(vector, Scope()), Bm25Leg.of(store.bm25, question, Scope())

    engines = {p.id: p.score for p in store.shard.query(engines_own(dense, bm25, 300))}
    found = [leg_of(leg) for leg in store.shard.query_batch(legs(bm25, dense, 20))]
    ours = best(store.shard, found, 300)

    assert {point.id: score for point, score in ours} == pytest.approx(engines, abs=1e-5)
    in_order = [score for _, score in ours]
    assert in_order == sorted(in_order, reverse=True)


def test_passage_deleted_after_it_was_found_makes_room_for_the_next(
    store: EdgeStore,
) -> None:
    put(store, "gone", "word99 line1")
    (vector,) = EMBEDDER.embed(["word99"])
    dense, bm25 = DenseLeg.of(vector, Scope()), Bm25Leg.of(store.bm25, "word99", Scope())
    found = [leg_of(leg) for leg in store.shard.query_batch(legs(bm25, dense, 20))]
    before = best(store.shard, found, 6)
    store.delete("gone")

    after = best(store.shard, found, 5)

    names = [(point.payload or {})["document_id"] for point, _ in before]
    assert names[0] == "gone"
    assert [(p.payload or {})["document_id"] for p, _ in after] == names[1:]
    assert len(after) == 5


def test_words_alone_keep_their_scores_and_go_as_far_as_asked(store: EdgeStore) -> None:
    bm25 = Bm25Leg.of(store.bm25, "line1 line2 line3 line4 line5 line6", Scope())
    (found,) = [leg_of(leg) for leg in store.shard.query_batch(legs(bm25, None, 150))]

    ours = best(store.shard, [found], 150)

    assert len(ours) == 150
    assert [score for _, score in ours] == list(found.values())[:150]
