"""Searches during an ingest: never an error, and every document whole, as it was or as it is."""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from retrieval import indexing, ingest
from retrieval.catalogue import Catalogue
from retrieval.chunking import Chunker
from retrieval.documents import Scope
from retrieval.edge_store import EdgeStore
from retrieval.embedding import HashEmbedder, Vectors
from retrieval.ingest import Ingestor, SourceFile
from retrieval.points import IndexManifest
from retrieval.retriever import HybridRetriever

DOCUMENTS = 8
PARTS = 3


class SlowEmbedder(HashEmbedder):
    def embed(self, texts: Sequence[str]) -> Vectors:
        time.sleep(0.001 * len(texts))
        return super().embed(texts)


def file(number: int, version: int) -> SourceFile:
    parts = (f"## Part {n}\n\nVersion {version} of part {n} says so.\n\n" for n in range(PARTS))
    return SourceFile(f"{number}.md", (f"# Document {number}\n\n" + "".join(parts)).encode())


class Searching:
    """A thread that searches all the time and looks at what it finds."""

    def __init__(self, retriever: HybridRetriever) -> None:
        self._retriever = retriever
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.wrong: list[object] = []
        self.seen: set[tuple[str, int]] = set()
        self.searches = 0
        self.always: set[str] = set()  # what must be found each time

    def __enter__(self) -> Searching:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.is_set():
            always = set(self.always)
            try:
                found = self._retriever.search("version part says", 100, Scope()).passages
            except Exception as error:  # noqa: BLE001  # whatever it is, the test tells
                self.wrong.append(error)
                return
            texts: defaultdict[str, list[str]] = defaultdict(list)
            for hit in found:
                texts[hit.source].append(hit.passage.text)
            for source, parts in texts.items():
                version = int(parts[0].split()[1])
                self.seen.add((source, version))
                if sorted(parts) != [
                    f"Version {version} of part {n} says so." for n in range(PARTS)
                ]:
                    self.wrong.append((source, parts))
            missing = (always & self.always) - texts.keys()  # before and after the search
            if missing:
                self.wrong.append(("not found", missing))
            self.searches += 1


@pytest.fixture
def parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Ingestor, HybridRetriever]]:
    """Windows of two documents, stored passage by passage; threads that take turns often."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    monkeypatch.setattr(ingest, "WINDOW_CHARS", 400)
    monkeypatch.setattr(indexing, "SLICE", 1)
    embedder = SlowEmbedder()
    store = EdgeStore(tmp_path / "index", IndexManifest(embedder="hash", dimension=64))
    catalogue = Catalogue(f"sqlite:///{tmp_path / 'documents.db'}")
    chunker = Chunker(embedder.tokenizer, max_tokens=32)
    yield (
        Ingestor(catalogue=catalogue, store=store, embedder=embedder, chunker=chunker),
        HybridRetriever(embedder=HashEmbedder(), store=store, catalogue=catalogue),
    )
    sys.setswitchinterval(interval)
    store.close()
    catalogue.close()


def test_searches_during_a_long_ingest_find_every_document_whole(
    parts: tuple[Ingestor, HybridRetriever],
) -> None:
    ingestor, retriever = parts
    with Searching(retriever) as searching:
        for version in range(6):
            for done in ingestor.put_all(file(number, version) for number in range(DOCUMENTS)):
                searching.always.add(done.file.source)
        searching.always.clear()
        for number in range(DOCUMENTS):
            ingestor.delete(file(number, 0).document_id, Scope())

    assert searching.wrong == []
    assert searching.searches > 20
    assert {version for _, version in searching.seen} >= {0, 5}
    assert retriever.search("version", 10, Scope()).passages == ()
