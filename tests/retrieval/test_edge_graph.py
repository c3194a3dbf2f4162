"""The graph is built by a real child process while the store is searched and written."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from retrieval.documents import Scope
from retrieval.edge_graph import GraphBuilder, GraphMaintenance
from retrieval.edge_query import DenseLeg
from retrieval.edge_store import EdgeStore
from retrieval.errors import StoreError
from retrieval.points import Found
from tests.retrieval.engines import EMBEDDER, INDEX, Place, names, put

SCAN_LIMIT = 100
FILLED = 400


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EdgeStore]:
    with closing(open_store(tmp_path)) as store:
        for number in range(FILLED // 10):
            put(store, f"d{number}", *(text_of(number, line) for line in range(10)))
        yield store


def open_store(folder: Path) -> EdgeStore:
    return EdgeStore(folder / "index", INDEX, scan_limit=SCAN_LIMIT)


def text_of(number: int, line: int) -> str:
    return f"word{number} word{line} number{number}line{line}"


def found(store: EdgeStore, text: str) -> list[str]:
    (vector,) = EMBEDDER.embed([text])
    return names(store.search(text, vector, scope=Scope(), limit=3))


class BusyBuilder(GraphBuilder):
    """Something happens after the copy was made and before the copy takes over."""

    def __init__(self, happens: Callable[[], None]) -> None:
        super().__init__()
        self._happens = happens

    def run(self, shard: Path) -> bool:
        self._happens()
        return super().run(shard)


def test_every_passage_is_in_the_graph_and_is_found(store: EdgeStore) -> None:
    before = [found(store, text_of(number, 3))[0] for number in range(20)]
    assert store.scanned() == FILLED

    assert store.build_graph(GraphBuilder())

    assert (store.scanned(), store.count()) == (0, FILLED)
    assert [found(store, text_of(number, 3))[0] for number in range(20)] == before
    assert before == [f"d{number}" for number in range(20)]


@pytest.mark.parametrize("tenant", ["large", "larger", "small"])
@pytest.mark.parametrize("groups", [None, ("sales",), ("sales", "legal")])
@pytest.mark.parametrize("collections", [(), ("notices",)])
def test_graphs_of_the_tenants_find_what_scanning_finds(
    tmp_path: Path, tenant: str, groups: tuple[str, ...] | None, collections: tuple[str, ...]
) -> None:
    with closing(open_store(tmp_path)) as store:
        for owner, count in (("large", 60), ("larger", 90), ("small", 4)):
            for number in range(count):
                group = ("sales", "legal", "staff")[number % 3]
                texts = (text_of(number, line) for line in range(10))
                place = Place(owner, (group,), ("policies", "notices")[number % 2])
                put(store, f"{owner}{number}", *texts, place=place)
        assert store.build_graph(GraphBuilder())
        links = (tmp_path / "index").glob("shard*/segments/*/vector_index-dense/links*")
        assert sum(file.stat().st_size for file in links) > 10 * store.count()  # without any: 5
        scope = Scope(tenant=tenant, groups=groups, collections=collections)

        for number in range(20):
            (vector,) = EMBEDDER.embed([text_of(number, 3)])
            by_graph, by_scanning = (
                store.shard.query(DenseLeg.of(vector, scope, exact=exact).request(limit=10))
                for exact in (False, True)
            )
            assert len(by_graph) == len(by_scanning) > 0
            assert scores(by_graph) == pytest.approx(scores(by_scanning))


def scores(points: Sequence[Found]) -> list[float]:
    return [point.score for point in points]


@pytest.mark.parametrize("documents", [1, 50])
def test_what_is_written_meanwhile_is_kept(store: EdgeStore, documents: int) -> None:
    def write() -> None:
        for number in range(documents):
            put(store, f"new{number}", f"brandnew{number}")
        store.delete("d7")
        put(store, "d8", "replaced", generation=2)
        store.delete("d8", generation=1)

    assert store.build_graph(BusyBuilder(write))

    assert store.count() == FILLED + documents - 10 + 1 - 10
    assert found(store, f"brandnew{documents - 1}")[0] == f"new{documents - 1}"
    assert found(store, "replaced")[0] == "d8"
    assert "d7" not in store.counts()


def test_what_was_written_meanwhile_is_there_after_a_restart(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        put(store, "old", *(text_of(0, line) for line in range(200)))
        assert store.build_graph(BusyBuilder(lambda: put(store, "new", "brandnew")))

    with closing(open_store(tmp_path)) as store:
        assert store.counts() == {"old": 200, "new": 1}
        assert store.scanned() == 1
        assert found(store, "brandnew")[0] == "new"
    assert len(list((tmp_path / "index").glob("shard*"))) == 1


def test_searches_go_on_while_the_graph_is_built(store: EdgeStore) -> None:
    done = threading.Event()
    wrong: list[object] = []
    rounds = 0

    def search() -> None:
        nonlocal rounds
        while not done.is_set():
            try:
                if found(store, text_of(5, 5))[0] != "d5":
                    wrong.append("not found")
            except StoreError as error:
                wrong.append(error)
            rounds += 1
            time.sleep(0.005)

    searching = threading.Thread(target=search)
    searching.start()
    for _ in range(2):
        assert store.build_graph(GraphBuilder())
    done.set()
    searching.join()

    assert wrong == []
    assert rounds > 20


def test_stopped_build_changes_nothing(store: EdgeStore, tmp_path: Path) -> None:
    builder = GraphBuilder()

    def stop_when_it_runs() -> None:
        while builder._child is None:
            time.sleep(0.001)
        builder.stop()

    stopping = threading.Thread(target=stop_when_it_runs)
    stopping.start()
    assert not store.build_graph(builder)
    stopping.join()

    assert store.scanned() == FILLED
    assert [folder.name for folder in (tmp_path / "index").glob("shard*")] == ["shard"]
    put(store, "later", "later")
    assert found(store, "later")[0] == "later"


def test_failed_build_says_why_and_changes_nothing(store: EdgeStore, tmp_path: Path) -> None:
    def break_copy() -> None:
        for folder in (tmp_path / "index").glob("shard-*"):
            (folder / "edge_config.json").write_text("{")

    with pytest.raises(StoreError, match="could not be built"):
        store.build_graph(BusyBuilder(break_copy))

    assert store.scanned() == FILLED
    assert found(store, text_of(5, 5))[0] == "d5"


def test_half_made_copy_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from tests.retrieval import test_edge_graph as t
store = t.open_store(Path({str(tmp_path)!r}))
t.put(store, "old", *(t.text_of(0, line) for line in range(200)))
store.build_graph(t.BusyBuilder(lambda: os.kill(os.getpid(), signal.SIGKILL)))
"""
    killed = subprocess.run([sys.executable, "-c", program], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "index").glob("shard*"))) == 2

    with closing(open_store(tmp_path)) as store:
        assert store.counts() == {"old": 200}
    assert len(list((tmp_path / "index").glob("shard*"))) == 1


def test_maintenance_builds_the_graph_when_too_many_are_scanned(store: EdgeStore) -> None:
    with closing(GraphMaintenance(store, check_s=0.05, quiet_s=0.2)):
        until = time.monotonic() + 60
        while store.scanned() and time.monotonic() < until:
            time.sleep(0.05)
    assert store.scanned() == 0


def test_maintenance_leaves_a_few_scanned_passages(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        put(store, "few", *(text_of(0, line) for line in range(SCAN_LIMIT // 2)))
        with closing(GraphMaintenance(store, check_s=0.02, quiet_s=0)):
            time.sleep(0.5)
        assert store.scanned() == SCAN_LIMIT // 2


def test_maintenance_waits_for_a_pause_in_the_writing(store: EdgeStore) -> None:
    with closing(GraphMaintenance(store, check_s=0.02, quiet_s=3600)):
        time.sleep(0.5)
    assert store.scanned() == FILLED
