"""The whole measurement, one corpus size after the other."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.bench.baselines import SEARCHES, Baseline, Baselines
from eval.bench.corpus import Corpus
from eval.bench.filling import filled
from eval.bench.layout import GROUPS, Layout
from eval.bench.measured import Measured, OneTenant, Sized
from eval.bench.memory import Memory, reset_peak
from eval.bench.models import (
    compare_embedding,
    compare_ingest,
    compare_reranking,
    passages_of_length,
)
from eval.bench.neighbours import neighbours
from eval.bench.recall import recalls
from eval.bench.server import ServerMemory, server_memory
from eval.bench.stages import Stage, Subject, time_questions
from eval.bench.timing import Stopwatch
from eval.corpus_index import Pipeline, Track
from retrieval.catalogue import Catalogue
from retrieval.edge_store import EdgeStore
from retrieval.onnx_reranker import OnnxReranker
from retrieval.points import IndexManifest
from retrieval.reranking import Reranking
from retrieval.retriever import HybridRetriever

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure, and where the indexes lie meanwhile.

    `server_questions` and `ingest_passages` of 0 leave that out.
    """

    sizes: Sequence[int]
    questions: Sequence[str]
    work: Path
    max_memory_gib: float
    ingest_passages: int
    server_questions: int
    profile: str


def measure(
    plan: Plan, corpus: Corpus, pipeline: Pipeline, baselines: Baselines, track: Track
) -> Measured:
    """The models by themselves, sizes in ascending order, then the ingest and the server.

    Raises:
        EvaluationError: a part of the pipeline, a baseline or the server failed.
        StoreError: an index is in use.
    """
    can = baselines.wanted
    embedding = reranking = ingest = None
    if Baseline.ENCODE in can:
        embedding = compare_embedding(pipeline.embedder, baselines, plan.questions, track=track)
    passages, tokens = passages_of_length(corpus, pipeline.embedder)
    reranker = pipeline.reranking.reranker if pipeline.reranking else None
    if isinstance(reranker, OnnxReranker) and Baseline.PREDICT in can:
        reranking = compare_reranking(reranker, baselines, plan.questions, passages, track=track)
    bench = _Bench(plan, corpus, pipeline, baselines, track)
    sizes = [bench.at_size(size) for size in sorted(set(plan.sizes))]
    one_tenant = bench.one_tenant()
    if plan.ingest_passages and Baseline.ENCODE in can:
        ingest = compare_ingest(
            pipeline, baselines, corpus, passages=plan.ingest_passages, track=track
        )
    return Measured(
        sizes=sizes,
        one_tenant=one_tenant,
        embedding=embedding,
        reranking=reranking,
        reranked_tokens=tokens,
        ingest=ingest,
        server=bench.server() if plan.server_questions else None,
    )


class _Bench:
    """What stays the same from size to size."""

    def __init__(
        self,
        plan: Plan,
        corpus: Corpus,
        pipeline: Pipeline,
        baselines: Baselines,
        track: Track,
    ) -> None:
        self._plan = plan
        self._corpus = corpus
        self._pipeline = pipeline
        self._baselines = baselines
        self._track = track
        self._layout = Layout()
        self._manifest = IndexManifest(
            embedder=pipeline.embedder.name,
            dimension=pipeline.embedder.dimension,
            language=pipeline.language,
        )
        self._vectors = np.stack([pipeline.embedder.embed([text])[0] for text in plan.questions])

    def at_size(self, size: int) -> Sized:
        """Fill the index, prepare the baselines, and time every question."""
        folder = self._filled(size, self._layout)
        distances = neighbours(self._corpus, size)
        skipped = self._baselines.prepare(
            self._corpus, size, max_memory_gib=self._plan.max_memory_gib
        )
        gc.collect()
        reset_peak()
        with self._opened(folder) as subject:
            with self._counted(f"Asking {size:,} passages") as progress:
                watch = time_questions(
                    subject,
                    self._plan.questions,
                    layout=self._layout,
                    baseline=self._baselines.search,
                    progress=progress,
                )
            memory = Memory.of()
            found = recalls(subject.store, self._vectors, layout=self._layout)
            scanned = subject.store.scanned()
        return Sized(
            passages=size,
            real=self._corpus.real,
            scanned=scanned,
            times=watch.percentiles(),
            baseline_ratios=_ratios(watch),
            skipped=skipped,
            recalls=found,
            neighbours=distances,
            memory=memory,
        )

    def one_tenant(self) -> OneTenant:
        """At the largest size that is wholly real."""
        size = min(max(self._plan.sizes), self._corpus.real)
        some, every = Layout(tenants=1), Layout(tenants=1, asked_groups=len(GROUPS))
        store = EdgeStore(self._filled(size, every) / "index", self._manifest)
        with closing(store):
            return OneTenant(
                size,
                recalls(store, self._vectors, layout=every),
                recalls(store, self._vectors, layout=some),
            )

    def server(self) -> ServerMemory:
        """At the largest size up to 100,000, which is what the bar speaks of, or at the least."""
        from eval.bench.bars import LARGE

        sizes = sorted(set(self._plan.sizes))
        size = max((each for each in sizes if each <= LARGE), default=sizes[0])
        count = self._plan.server_questions
        asked = [self._plan.questions[n % len(self._plan.questions)] for n in range(count)]
        return server_memory(
            self._filled(size, self._layout),
            asked,
            size=size,
            layout=self._layout,
            profile=self._plan.profile,
            track=self._track,
        )

    def _filled(self, size: int, layout: Layout) -> Path:
        return filled(
            self._plan.work,
            self._corpus,
            size,
            manifest=self._manifest,
            layout=layout,
            track=self._track,
        )

    @contextmanager
    def _opened(self, folder: Path) -> Iterator[Subject]:
        store = EdgeStore(folder / "index", self._manifest)
        with closing(store), closing(Catalogue(f"sqlite:///{folder / 'documents.db'}")) as live:

            def retriever(reranking: Reranking | None) -> HybridRetriever:
                return HybridRetriever(
                    embedder=self._pipeline.embedder,
                    store=store,
                    catalogue=live,
                    reranking=reranking,
                )

            reranking = self._pipeline.reranking
            yield Subject(
                store,
                self._pipeline.embedder,
                retriever(None),
                retriever(reranking) if reranking else None,
            )

    @contextmanager
    def _counted(self, description: str) -> Iterator[Callable[[], None]]:
        steps = iter(self._track(range(len(self._plan.questions)), description=description))
        yield lambda: (next(steps, None), None)[1]
        next(steps, None)


def _ratios(watch: Stopwatch) -> dict[str, float]:
    """Medians over the questions that the baseline was asked too, which are the first ones."""
    ours = watch.times_ms[Stage.BM25_EVERYWHERE]
    found = {}
    for name in SEARCHES:
        if theirs := watch.times_ms.get(name):
            found[name.value] = float(np.median(theirs) / np.median(ours[: len(theirs)]))
    return found
