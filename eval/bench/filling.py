"""A data folder with a corpus in it, as the product would have made it, its graph built."""

from __future__ import annotations

import hashlib
import inspect
import json
import multiprocessing
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path

from eval.bench import corpus as corpus_module
from eval.bench import layout as layout_module
from eval.bench.corpus import Corpus
from eval.bench.layout import Layout
from eval.corpus_index import COMPLETE, Track
from eval.errors import EvaluationError
from retrieval import edge_graph, edge_store, points
from retrieval.catalogue import Catalogue
from retrieval.edge_graph import GraphBuilder
from retrieval.edge_store import SCAN_LIMIT, EdgeStore
from retrieval.points import IndexManifest

TOGETHER = 200  # documents that are written in one transaction


def filled(
    work: Path, corpus: Corpus, size: int, *, manifest: IndexManifest, layout: Layout, track: Track
) -> Path:
    """The folder in `work` that holds the corpus; filled by a child process when it is not there.

    A process of its own, so that what filling takes does not count as memory of searching.

    Raises:
        EvaluationError: the child failed; what it printed says how.
    """
    folder = work / index_name(corpus, size, manifest, layout)
    if (folder / COMPLETE).exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    context = multiprocessing.get_context("spawn")
    ours, childs = context.Pipe(duplex=False)
    child = context.Process(
        target=fill, args=(folder, corpus, size, manifest, layout, childs), daemon=False
    )
    child.start()
    childs.close()
    for _ in track(_Batches(corpus, size, ours), description=f"Indexing {size:,} passages"):
        pass
    child.join()
    if child.exitcode != 0:
        raise EvaluationError(f"the index of {size:,} passages could not be made; see above")
    (folder / COMPLETE).touch()
    return folder


def fill(
    folder: Path,
    corpus: Corpus,
    size: int,
    manifest: IndexManifest,
    layout: Layout,
    progress: Connection | None = None,
) -> None:
    """Catalogue and index, through the product's own classes, and the graph where it would be."""
    store = EdgeStore(folder / "index", manifest, scan_limit=SCAN_LIMIT)
    with closing(store), closing(Catalogue(f"sqlite:///{folder / 'documents.db'}")) as catalogue:
        numbered = enumerate(corpus.pieces(size))
        while batch := list(islice(numbered, TOGETHER)):
            placed = [(*layout.place(number, piece), piece.vectors) for number, piece in batch]
            catalogue.add_pending(document for document, _, _ in placed)
            for document, passages, vectors in placed:
                store.upsert(document, passages, vectors)
            catalogue.make_live(
                {(document.id, 1): len(passages) for document, passages, _ in placed}
            )
            if progress:
                progress.send(len(batch))
        store.flush()
        if store.scanned() > store.scan_limit:
            store.build_graph(GraphBuilder())


def index_name(corpus: Corpus, size: int, manifest: IndexManifest, layout: Layout) -> str:
    """Differs for whatever is indexed differently: texts, embedder, settings, or code."""
    modules = (edge_store, edge_graph, points, corpus_module, layout_module)
    code = [inspect.getsource(module) for module in modules]
    key = json.dumps([corpus.sha256(), asdict(manifest), layout.tenants, code])
    return f"bench-{size}-{layout.tenants}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


class _Batches:
    """What the child reports, until it ends."""

    def __init__(self, corpus: Corpus, size: int, reports: Connection) -> None:
        self._count = -(-sum(1 for _ in _starts(corpus, size)) // TOGETHER)
        self._reports = reports

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        try:
            while True:
                yield self._reports.recv()
        except EOFError:
            return


def _starts(corpus: Corpus, size: int) -> Iterator[int]:
    """Where each document of the corpus begins, without making it."""
    start = 0
    for group in corpus.groups:
        if start < size:
            yield start
            start += len(group.passages)
    yield from range(start, size, corpus_module.DOCUMENT)
