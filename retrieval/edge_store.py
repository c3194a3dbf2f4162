"""Qdrant Edge: the embedded engine. One shard in one folder, held by one process."""

from __future__ import annotations

import json
import shutil
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import qdrant_edge as edge

from retrieval.documents import Document, Passage, Scope, ScoredPassage
from retrieval.edge_graph import GraphBuilder
from retrieval.edge_query import Bm25Leg, DenseLeg, best, legs, match, must
from retrieval.embedding import Vectors
from retrieval.errors import StoreError
from retrieval.points import (
    BM25,
    DENSE,
    KEYWORD_KEYS,
    IndexManifest,
    bm25_of,
    leg_of,
    passage_of,
    payload_of,
    scored_passages,
)

MANIFEST = "manifest.json"
CURRENT = "current"  # a file that names the shard's folder
FIRST_SHARD = "shard"
SCAN_LIMIT = 10_000  # passages that one query scans in about 2 ms
GRAPHS_OF = ("tenant", "groups")  # each one's passages are linked with each other
GRAPH_LINKS = 16  # of a passage in each of these graphs, m
GRAPH_BUILD_WIDTH = 200  # ef_construct
_UPSERT_BATCH = 500
_REPLAY_TOGETHER = 20  # operations that are replayed while others may write
_EVERY_DOCUMENT = 1 << 31


class EdgeStore:
    """Implements `Store` on an Edge shard; filters and IDF are the engine's own.

    Passages are found by scanning until `build_graph` has put them into the HNSW graph of their
    vectors. The engine builds it with the interpreter held, so a child process does that, in a
    copy; what is written meanwhile is noted and repeated there before the copy takes over.

    `shard` and `bm25` are the engine itself, for what measures it.
    """

    def __init__(
        self, folder: Path, manifest: IndexManifest, *, scan_limit: int = SCAN_LIMIT
    ) -> None:
        self._folder = folder
        self.bm25 = bm25_of(manifest)
        self._config = _config(manifest, scan_limit=scan_limit)
        self.shard = _open(folder, manifest, self._config)
        self._writing = threading.Lock()
        self._noted: list[edge.UpdateOperation] | None = None  # while a copy is in the making
        self.scan_limit = scan_limit
        self.written_at = time.monotonic()

    def search(
        self, text: str, vector: Vectors | None, *, scope: Scope, limit: int
    ) -> list[ScoredPassage]:
        """Best first: both legs fused, or BM25 alone without a vector.

        The engine can fuse too, but then every list that says where a passage came from is searched
        for a second time.
        """
        bm25 = Bm25Leg.of(self.bm25, text, scope)
        dense = None if vector is None else DenseLeg.of(vector, scope)
        shard = self.shard  # another one may take over on the way
        try:
            found = [leg_of(leg) for leg in shard.query_batch(legs(bm25, dense, limit))]
            fused = best(shard, found, limit)
        except Exception as error:
            raise StoreError(f"the index cannot be searched: {error}") from error
        return scored_passages(fused, bm25=found[0], dense=found[1] if dense else None)

    def upsert(self, document: Document, passages: Sequence[Passage], vectors: Vectors) -> None:
        """Write in batches; each is in the engine's log before the next begins."""
        if len(passages) != len(vectors):
            raise ValueError(f"{len(passages)} passages but {len(vectors)} vectors")
        points = [
            edge.Point(
                passage.id,
                {
                    DENSE: vector.tolist(),
                    BM25: self.bm25.embed_document(passage.searchable),
                },
                payload_of(document, passage),
            )
            for passage, vector in zip(passages, vectors, strict=True)
        ]
        for start in range(0, len(points), _UPSERT_BATCH):
            self._update(edge.UpdateOperation.upsert_points(points[start : start + _UPSERT_BATCH]))

    def delete(self, document_id: str, *, generation: int | None = None) -> None:
        """Remove by filter; deleting what is not there is no error."""
        conditions = [match("document_id", document_id)]
        if generation is not None:
            conditions.append(match("generation", generation))
        self._update(edge.UpdateOperation.delete_points_by_filter(must(*conditions)))

    def flush(self) -> None:
        """Takes 60 to 250 ms, whatever was written: as long as embedding five passages."""
        try:
            with self._writing:
                self.shard.flush()
        except Exception as error:
            raise StoreError(f"the index cannot be flushed to disk: {error}") from error

    def vectors(self, passage_ids: Sequence[str]) -> dict[str, Vectors]:
        """(d,) each, bit for bit as it was written."""
        try:
            found = self.shard.retrieve(list(passage_ids), with_payload=True, with_vector=[DENSE])
        except Exception as error:
            raise StoreError(f"the index cannot be read: {error}") from error
        return {
            passage_of(point).searchable: np.array(
                point.vector[DENSE],  # type: ignore[index, call-overload]  # named vectors
                dtype=np.float32,
            )
            for point in found
        }

    def count(self) -> int:
        """Number of stored passages, those of generations not yet live included."""
        try:
            return int(self.shard.count(edge.CountRequest(exact=True)))
        except Exception as error:  # the engine raises bare Exceptions
            raise StoreError(f"the index cannot be read: {error}") from error

    def counts(self) -> dict[str, int]:
        """Takes 0.7 s for 20,000 documents of five passages."""
        every = edge.FacetRequest("document_id", limit=_EVERY_DOCUMENT, exact=True)
        try:
            hits = self.shard.facet(every).hits  # deleted documents among them, with 0
        except Exception as error:
            raise StoreError(f"the index cannot be read: {error}") from error
        return {str(hit.value): hit.count for hit in hits if hit.count}

    def scanned(self) -> int:
        """Number of passages that are found by scanning, those deleted since the last graph too."""
        info = self.shard.info()
        in_graph = info.indexed_vectors_count - info.points_count  # every sparse vector counts too
        return int(info.points_count - max(0, in_graph))

    def build_graph(self, builder: GraphBuilder) -> bool:
        """Put every passage into the graph; searches and writes go on. One call at a time.

        False when the builder was stopped; then all is as before.

        Raises:
            StoreError: the graph could not be built; all is as before.
        """
        name = f"{FIRST_SHARD}-{uuid.uuid4().hex[:8]}"
        copy = self._folder / name
        try:
            with self._writing:
                self.shard.flush()
                shutil.copytree(self._folder / _current(self._folder), copy)
                self._noted = []
            if not builder.run(copy):
                return False
            self._take_over(name)
        except OSError as error:
            raise StoreError(f"the index in {self._folder} cannot be copied: {error}") from error
        finally:
            self._noted = None
            _remove_others(self._folder)
        return True

    def _take_over(self, name: str) -> None:
        """Repeat what was written since the copy was made, and search there from now on."""
        try:
            shard = edge.EdgeShard.load(str(self._folder / name), self._config)
            noted = self._noted or []
            done = 0
            while len(noted) - done > _REPLAY_TOGETHER:
                shard.update(noted[done])
                done += 1
            with self._writing:
                for operation in noted[done:]:
                    shard.update(operation)
                shard.flush()
                _write_current(self._folder, name)
                self.shard = shard  # a search that is under way keeps the old one until its end
        except Exception as error:
            raise StoreError(f"the index with its new graph cannot be used: {error}") from error

    def close(self) -> None:
        """Release the folder for another process."""
        self.shard.close()

    def _update(self, operation: edge.UpdateOperation) -> None:
        with self._writing:
            try:
                self.shard.update(operation)
            except Exception as error:
                raise StoreError(f"the index cannot be written: {error}") from error
            if self._noted is not None:
                self._noted.append(operation)
            self.written_at = time.monotonic()


def _open(folder: Path, manifest: IndexManifest, config: edge.EdgeConfig) -> edge.EdgeShard:
    shard_folder = folder / _current(folder)
    stored = folder / MANIFEST
    try:
        if stored.is_file():
            manifest.check(json.loads(stored.read_text()), where=str(folder))
            shard = edge.EdgeShard.load(str(shard_folder), config)
            _remove_others(folder)  # what a graph left behind whose making was cut short
            return shard
        shutil.rmtree(shard_folder, ignore_errors=True)  # of a making that was cut short
        shard_folder.mkdir(parents=True)
        shard = edge.EdgeShard.create(str(shard_folder), config)
        for key in KEYWORD_KEYS:
            index = edge.KeywordIndexParams(is_tenant=key == "tenant", enable_hnsw=key in GRAPHS_OF)
            shard.update(edge.UpdateOperation.create_field_index(key, index))
        shard.flush()
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(
            f"the index in {folder} cannot be opened: {error}; is another process using it? "
            "If it is damaged, `twofold documents rebuild` makes it anew from the catalogue"
        ) from error
    scratch = stored.with_suffix(".tmp")
    scratch.write_text(json.dumps(asdict(manifest), indent=2) + "\n")
    scratch.replace(stored)  # last: an index without its manifest was never finished
    return shard


def _current(folder: Path) -> str:
    file = folder / CURRENT
    return file.read_text().strip() if file.is_file() else FIRST_SHARD


def _write_current(folder: Path, name: str) -> None:
    scratch = folder / f"{CURRENT}.tmp"
    scratch.write_text(f"{name}\n")
    scratch.replace(folder / CURRENT)


def _remove_others(folder: Path) -> None:
    current = _current(folder)
    for other in folder.glob(f"{FIRST_SHARD}*"):
        if other.name != current:
            shutil.rmtree(other, ignore_errors=True)


def _config(manifest: IndexManifest, *, scan_limit: int) -> edge.EdgeConfig:
    scanned_kb = max(1, scan_limit * manifest.dimension * 4 // 1024)
    return edge.EdgeConfig(
        vectors={
            DENSE: edge.EdgeVectorParams(size=manifest.dimension, distance=edge.Distance.Cosine)
        },
        sparse_vectors={BM25: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        hnsw_config=edge.HnswIndexConfig(
            m=0,  # none over all tenants: every search is within one
            payload_m=GRAPH_LINKS,
            ef_construct=GRAPH_BUILD_WIDTH,
            full_scan_threshold=scanned_kb,
        ),
        optimizers=edge.EdgeOptimizersConfig(indexing_threshold=scanned_kb),
    )
