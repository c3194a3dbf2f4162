"""An ingest that is killed at any moment: the next run ends where an uninterrupted one ends.

The same state means: the same rows in the catalogue, column by column but for `updated_at`, and
the same points in the index, by id, with payload, dense and sparse vector, generations included.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

import pytest
import qdrant_edge as edge

from retrieval.embedding import Vectors
from tests.serving.test_assistant import SwitchableEmbedder
from tests.serving.test_cli import BINARY, run, variables_of
from tests.serving.test_cli_sync import write

ENDS_WITHIN_S = 60
OPENED = 0.25
TRACED = ("/retrieval/", "/serving/cli/sending.py")

# Children are forked from a process that has imported what they need and opened nothing.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        __name__,
        "anyio._backends._asyncio",
        "httpcore",
        "markdown_it",
        "rich.progress",
        "safetensors.numpy",
        "semantic_text_splitter",
        "sqlalchemy.dialects.sqlite",
        "uvicorn.lifespan.off",
        "uvicorn.loops.auto",
        "uvicorn.protocols.http.auto",
        "uvicorn.protocols.websockets.auto",
    ]
)


def text(title: str, *facts: str) -> str:
    return f"# {title}\n\n" + "".join(f"## Part {n}\n\n{fact}\n\n" for n, fact in enumerate(facts))


BEFORE: dict[str, str | bytes | None] = {
    "rules/bags.md": text("Bags", "A bag costs 20 euros.", "It weighs 23 kg.", "Two are free."),
    "rules/pets.md": text("Pets", "Cats travel in the cabin.", "Dogs in the hold."),
    "rules/wifi.md": text("Wifi", "Wifi costs 9 euros."),
    "rules/broken.md": text("Broken", "This file will break."),
    "news/fares.md": text("Fares", "Fares rise in May.", "And in June."),
    "news/old.md": text("Old", "An old notice."),
    "news/strike.md": text("Strike", "There is a strike."),
    "top.md": text("Top", "The shop sells socks.", "And shoes."),
}
AFTER: dict[str, str | bytes | None] = {
    "rules/bags.md": text("Bags", "A bag costs 25 euros.", "It weighs 23 kg."),
    "rules/pets.md": None,
    "rules/animals.md": BEFORE["rules/pets.md"],  # renamed
    "rules/broken.md": BINARY,
    "news/old.md": None,
    "news/strike.md": None,
    "archive/strike.md": BEFORE["news/strike.md"],  # moved to another collection
    "news/new.md": text("New", "A new notice.", "With two parts.", "With three.", "With four."),
    "top.md": text("Top", "The shop sells hats."),
}


@dataclass(frozen=True, slots=True)
class Moment:
    """When a child is killed: at a line of our code, or some time after its begin."""

    line: int = 0
    after_s: float = 0.0


def ingest(words: Sequence[str], home: Path, moment: Moment | None, told: Connection) -> None:
    """In the child: run the command with small windows, slices and batches; kill itself."""
    told.send("begun")
    lines = count_lines(moment.line if moment else 0)
    with (
        patch("retrieval.ingest.WINDOW_CHARS", 500),
        patch("retrieval.indexing.SLICE", 2),
        patch("retrieval.recovery.TOGETHER", 2),
        patch("serving.cli.sending.BATCH_FILES", 3),
    ):
        ran = run("ingest", *words, home=home)
    told.send((ran.status, ran.out + ran.err, lines()))


class InterruptedEmbedder(SwitchableEmbedder):
    """Somebody presses Ctrl+C when it has embedded so many texts."""

    def __init__(self, texts: int) -> None:
        super().__init__()
        self._left = texts

    def embed(self, texts: Sequence[str]) -> Vectors:
        time.sleep(0.02 * len(texts))  # so that the rest is not done before anybody is heard
        if self._left:
            self._left = max(0, self._left - len(texts))
            if not self._left:
                os.kill(os.getpid(), signal.SIGINT)
        return super().embed(texts)


def ingest_slowly(folder: Path, home: Path, told: Connection, interrupt_at: int) -> None:
    """In the child: 40 documents take some seconds."""
    embedder = InterruptedEmbedder(interrupt_at)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored below a background job
    with (
        patch("retrieval.ingest.WINDOW_CHARS", 500),
        patch("retrieval.indexing.SLICE", 2),
    ):
        told.send("begun")
        ran = run("ingest", str(folder), home=home, embedder=embedder)
    told.send((ran.status, ran.out, ran.err, embedder.embedded))


def count_lines(last: int) -> Callable[[], int]:
    """Count the lines of ours that run in any thread; SIGKILL at the last one, if it is not 0."""
    count = 0

    def local(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if event == "line":
            count += 1
            if count == last:
                os.kill(os.getpid(), signal.SIGKILL)
        return local

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        return local if any(part in frame.f_code.co_filename for part in TRACED) else None

    threading.settrace(trace)
    sys.settrace(trace)
    return lambda: count


@dataclass(frozen=True, slots=True)
class Ran:
    """A child that was not killed."""

    lines: int
    seconds: float


def child(words: Sequence[str], home: Path, moment: Moment | None = None) -> Ran | None:
    """Run `twofold ingest` in a process; None when it was killed."""
    ours, theirs = FORKS.Pipe()
    process = FORKS.Process(target=ingest, args=(words, home, moment, theirs))
    process.start()
    theirs.close()
    assert ours.recv() == "begun"
    started = time.monotonic()
    if moment and moment.after_s:
        process.join(moment.after_s)
        process.kill()
    process.join(ENDS_WITHIN_S)
    seconds = time.monotonic() - started
    exit_code = process.exitcode
    process.close()
    if exit_code == -signal.SIGKILL:
        return None
    status, out, lines = ours.recv()
    assert (exit_code, status) == (0, 0), out
    return Ran(lines, seconds)


def state(home: Path) -> tuple[list[tuple[Any, ...]], dict[str, Any]]:
    """Everything there is: rows of the catalogue, points of the index."""
    with sqlite3.connect(home / "documents.db") as connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute("SELECT * FROM documents")]
    connection.close()
    shard = edge.EdgeShard.load(str(home / "index" / "shard"))
    every = edge.ScrollRequest(limit=10_000, with_payload=True, with_vector=True)
    records, _ = shard.scroll(every)
    shard.close()
    points = {str(record.id): (record.payload, vectors(record)) for record in records}
    assert len(points) == len(records)
    for row in rows:
        del row["updated_at"]
    return sorted(tuple(row.items()) for row in rows), points


def vectors(record: edge.Record) -> tuple[list[float], dict[int, float]]:
    named: Any = record.vector
    dense, bm25 = named["dense"], named["bm25"]
    return dense, dict(zip(bm25.indices, bm25.values, strict=True))


@dataclass(frozen=True, slots=True)
class Scenario:
    """A home to begin with, the command, and what it ends in."""

    begin: Path
    words: tuple[str, ...]
    ends_in: tuple[list[tuple[Any, ...]], dict[str, Any]]
    uninterrupted: Ran

    def moments(self, seed: int, kills: int) -> list[Moment]:
        """In a row, so that runs which recover are killed too; a late one may come too late.

        What is before `OPENED` of the lines changes nothing on disk.
        """
        chance = random.Random(seed)
        return [
            Moment(line=int(chance.uniform(OPENED, 1) * self.uninterrupted.lines))
            if chance.random() < 0.7
            else Moment(after_s=chance.uniform(OPENED, 1) * self.uninterrupted.seconds)
            for _ in range(kills)
        ]


def uninterrupted(begin: Path, words: tuple[str, ...], home: Path) -> Scenario:
    shutil.copytree(begin, home)
    ran = child(words, home)
    assert ran is not None
    return Scenario(begin, words, state(home), ran)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """In memory where there is such a place: a kill asks nothing of the disk."""
    memory = Path("/dev/shm")
    where = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=where) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def first_ingest(folder: Path) -> Scenario:
    """Into a folder that holds nothing, not even an index."""
    write(folder / "first", BEFORE)
    (folder / "nothing").mkdir()
    variables_of(folder / "nothing")
    return uninterrupted(folder / "nothing", (str(folder / "first"),), folder / "home")


@pytest.fixture(scope="module")
def sync(folder: Path) -> Scenario:
    """After every kind of change."""
    write(folder / "docs", BEFORE)
    variables_of(folder / "before")
    assert child((str(folder / "docs"),), folder / "before")
    write(folder / "docs", AFTER)
    return uninterrupted(folder / "before", (str(folder / "docs"), "--sync"), folder / "synced")


def check(scenario: Scenario, moments: Sequence[Moment]) -> int:
    """Number of kills that hit."""
    home = scenario.begin.with_name("killed")
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(scenario.begin, home)
    kills = sum(child(scenario.words, home, moment) is None for moment in moments)
    assert child(scenario.words, home)
    rows, points = state(home)
    assert rows == scenario.ends_in[0], moments
    assert points == scenario.ends_in[1], moments
    return kills


def test_scenarios_are_worth_it(first_ingest: Scenario, sync: Scenario) -> None:
    rows, points = sync.ends_in
    sources = {dict(row)["source"] for row in rows}

    assert sources == {
        "rules/bags.md",
        "rules/animals.md",
        "rules/wifi.md",
        "rules/broken.md",
        "news/fares.md",
        "news/new.md",
        "archive/strike.md",
        "top.md",
    }
    assert {dict(row)["state"] for row in rows} == {"live"}
    assert {dict(row)["generation"] for row in rows} == {1, 2}
    assert len(points) == sum(dict(row)["passages"] for row in rows)
    assert len(first_ingest.ends_in[0]) == len(BEFORE)


@pytest.mark.parametrize(("seed", "kills"), [(1, 1), pytest.param(2, 3, marks=pytest.mark.slow)])
def test_killed_first_ingest_ends_as_an_uninterrupted_one(
    first_ingest: Scenario, seed: int, kills: int
) -> None:
    check(first_ingest, first_ingest.moments(seed, kills))


@pytest.mark.parametrize(
    ("seed", "kills"),
    [
        (1, 1),
        pytest.param(2, 2, marks=pytest.mark.slow),
        pytest.param(3, 2, marks=pytest.mark.slow),
        pytest.param(4, 4, marks=pytest.mark.slow),
    ],
)
def test_killed_sync_ends_as_an_uninterrupted_one(sync: Scenario, seed: int, kills: int) -> None:
    check(sync, sync.moments(seed, kills))


@pytest.mark.slow
def test_hundred_kills_end_as_none(first_ingest: Scenario, sync: Scenario) -> None:
    hits = seed = 0
    while hits < 100:
        seed += 1
        scenario = sync if seed % 3 else first_ingest
        hits += check(scenario, scenario.moments(seed, 1 + seed % 4))


# Ctrl+C.


def slow_child(folder: Path, home: Path, *, interrupt_at: int = 0) -> tuple[int, str, str, int]:
    """Status, output, errors and the number of embedded texts; SIGINT at so many of them."""
    ours, theirs = FORKS.Pipe()
    process = FORKS.Process(target=ingest_slowly, args=(folder, home, theirs, interrupt_at))
    process.start()
    theirs.close()
    assert ours.recv() == "begun"
    assert ours.poll(ENDS_WITHIN_S)
    told: tuple[int, str, str, int] = ours.recv()
    process.join()
    process.close()
    ours.close()
    return told


def count_live(home: Path) -> int:
    if not (home / "documents.db").exists():
        return 0
    connection = sqlite3.connect(home / "documents.db")
    try:
        query = "SELECT count(*) FROM documents WHERE state = 'live'"
        return int(connection.execute(query).fetchone()[0])
    except sqlite3.OperationalError:  # the table is being made
        return 0
    finally:
        connection.close()


@pytest.mark.slow
def test_interrupted_ingest_goes_on_where_it_was(folder: Path) -> None:
    docs, home = folder / "interrupted", folder / "interrupted-home"
    write(docs, {f"{n}.md": text(f"Document {n}", f"Fact {n}.", f"More {n}.") for n in range(40)})
    variables_of(home)
    status, out, err, first = slow_child(docs, home, interrupt_at=38)
    indexed = count_live(home)
    again = slow_child(docs, home)

    assert (status, out) == (130, "")
    assert "run it again to go on" in err
    assert "16 added" in err
    assert 18 <= indexed < 40
    assert again[0] == 0
    assert count_live(home) == 40
    assert first + again[3] == 80
