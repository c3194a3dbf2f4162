"""Filled folders: whose the passages are, what is found in them, and what the graph misses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from eval.bench import filling
from eval.bench.filling import fill, filled, index_name
from eval.bench.layout import GROUPS, TENANTS, Layout
from eval.bench.recall import DEPTH, recalls
from eval.errors import EvaluationError
from retrieval.catalogue import Catalogue
from retrieval.edge_query import GRAPH_SEARCH_WIDTH, DenseLeg
from retrieval.edge_store import EdgeStore
from tests.eval.bench.bench_corpus import EMBEDDER, MANIFEST, corpus, track

SIZE = 700
LAYOUT = Layout()
QUESTIONS = EMBEDDER.embed([f"word{n} word{3 * n % 40}" for n in range(40)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled")
    fill(folder, corpus(), SIZE, MANIFEST, LAYOUT)
    return folder


@pytest.fixture(scope="module")
def store(folder: Path) -> Iterator[EdgeStore]:
    with closing(EdgeStore(folder / "index", MANIFEST)) as store:
        yield store


def test_catalogue_and_index_agree(folder: Path, store: EdgeStore) -> None:
    with closing(Catalogue(f"sqlite:///{folder / 'documents.db'}")) as catalogue:
        counts = catalogue.passage_counts()
    assert counts == store.counts()
    assert sum(counts.values()) == store.count() == SIZE


def test_every_tenant_has_a_twentieth_and_every_question_sees_some_of_it(store: EdgeStore) -> None:
    seen = Counter[str]()
    for number in range(40):
        scope = LAYOUT.scope(number)
        found = store.search("word1 word2 word3", QUESTIONS[0], scope=scope, limit=1000)
        assert found
        seen[scope.tenant] += 1
    assert set(seen) == {f"tenant-{number}" for number in range(TENANTS)}
    assert LAYOUT.scope(0).groups != LAYOUT.scope(TENANTS).groups
    assert len(set(LAYOUT.scope(0).groups or ())) == 3


def test_one_tenant_that_sees_every_group_sees_everything() -> None:
    alone = Layout(tenants=1, asked_groups=len(GROUPS))
    assert {alone.scope(number).tenant for number in range(9)} == {"tenant-0"}
    assert set(alone.scope(3).groups or ()) == set(GROUPS)


def test_exact_search_is_that_of_numpy(store: EdgeStore) -> None:
    vectors = np.concatenate(
        [
            piece.vectors
            for number, piece in enumerate(corpus().pieces(SIZE))
            if _sees(number, question=5)
        ]
    )
    best = np.sort(vectors @ QUESTIONS[5])[::-1][:DEPTH]
    leg = DenseLeg.of(QUESTIONS[5], LAYOUT.scope(5), exact=True)
    found = [point.score for point in store.shard.query(leg.request())][:DEPTH]

    assert found == pytest.approx(best[: len(found)].tolist(), abs=1e-5)
    assert len(found) == min(DEPTH, len(vectors))


def _sees(document: int, *, question: int) -> bool:
    scope = LAYOUT.scope(question)
    group = GROUPS[document // TENANTS % len(GROUPS)]
    return LAYOUT.tenant(document) == scope.tenant and group in (scope.groups or ())


def test_recall_of_a_scan_is_whole(store: EdgeStore) -> None:
    found = recalls(store, QUESTIONS, layout=LAYOUT, widths=(4, GRAPH_SEARCH_WIDTH))

    assert [(each.width, each.recall, each.n) for each in found] == [
        (4, 1.0, 40),
        (GRAPH_SEARCH_WIDTH, 1.0, 40),
    ]
    assert all(each.p50_ms > 0 for each in found)


@pytest.mark.slow
def test_recall_in_the_graph_grows_with_the_width_of_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "SCAN_LIMIT", 50)
    alone = Layout(tenants=1, asked_groups=len(GROUPS))
    fill(tmp_path, corpus(), 4000, MANIFEST, alone)
    with closing(EdgeStore(tmp_path / "index", MANIFEST, scan_limit=50)) as store:
        assert store.scanned() == 0
        noise = np.random.default_rng(0).normal(size=(40, EMBEDDER.dimension))
        questions = (noise / np.linalg.norm(noise, axis=1, keepdims=True)).astype(np.float32)
        narrow, wide = recalls(store, questions, layout=alone, widths=(4, 1024))

    assert narrow.recall < wide.recall <= 1
    assert wide.recall > 0.98


def test_folder_is_filled_by_a_child_once(tmp_path: Path) -> None:
    made = corpus()
    first = filled(tmp_path, made, 150, manifest=MANIFEST, layout=LAYOUT, track=track)
    written = (first / "documents.db").stat().st_mtime_ns
    again = filled(tmp_path, made, 150, manifest=MANIFEST, layout=LAYOUT, track=track)

    assert first == again
    assert (again / "documents.db").stat().st_mtime_ns == written
    with closing(EdgeStore(first / "index", MANIFEST)) as store:
        assert store.count() == 150


def test_child_that_fails_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = corpus()
    name = index_name(made, 150, MANIFEST, LAYOUT)
    (tmp_path / name).write_text("a file where the folder should be")
    with pytest.raises((EvaluationError, OSError)):
        filled(tmp_path, made, 150, manifest=MANIFEST, layout=LAYOUT, track=track)


def test_name_of_an_index_differs_by_size_tenants_and_text() -> None:
    made = corpus()
    names = {
        index_name(made, 100, MANIFEST, LAYOUT),
        index_name(made, 101, MANIFEST, LAYOUT),
        index_name(made, 100, MANIFEST, Layout(tenants=1)),
        index_name(corpus(limit=50), 100, MANIFEST, LAYOUT),
    }
    assert len(names) == 4
    some = Layout(asked_groups=1)  # who asks changes nothing of what is stored
    assert index_name(made, 100, MANIFEST, some) in names
