"""One question after the other through the product and through the engine alone, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import qdrant_edge as edge

from eval.bench.layout import Layout
from eval.bench.timing import Stopwatch
from eval.errors import EvaluationError
from retrieval.documents import Scope
from retrieval.edge_query import Bm25Leg, DenseLeg, best, legs
from retrieval.edge_store import EdgeStore
from retrieval.embedding import Embedder
from retrieval.points import leg_of
from retrieval.retriever import SPARE, HybridRetriever

WARM_UP = 10  # questions asked before any counts
LISTED = 20  # passages that a search gives back


class Stage(StrEnum):
    """What is timed, in the order of the table."""

    EMBED = "embed"
    BM25 = "bm25"
    DENSE = "dense"
    FUSE = "fuse"
    RERANK = "rerank"
    TOTAL = "total"
    FOUND = "question_to_fused"
    SEARCH = "search"
    ENGINE = "engine"
    BM25_EVERYWHERE = "bm25_everywhere"


MEANING = {
    Stage.EMBED: "embed: the question's vector",
    Stage.BM25: "BM25: the best 100 by words",
    Stage.DENSE: "dense: the best 100 by vector",
    Stage.FUSE: "fuse: both lists into one, its payload read",
    Stage.RERANK: "rerank: the first fused passages, in the time budget",
    Stage.TOTAL: "total: question to reranked passages",
    Stage.FOUND: "question to fused passages (no reranking)",
    Stage.SEARCH: "  of it, everything but the embedding",
    Stage.ENGINE: "the engine alone: both searches, its own fusion",
    Stage.BM25_EVERYWHERE: "BM25 over all tenants, as the baselines search",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """The open index and the models that are timed."""

    store: EdgeStore
    embedder: Embedder
    retriever: HybridRetriever  # without a reranker
    reranking: HybridRetriever | None


Baseline = Callable[[str], Mapping[str, float]]  # a question -> times in ms, by name


def time_questions(
    subject: Subject,
    questions: Sequence[str],
    *,
    layout: Layout,
    baseline: Baseline,
    progress: Callable[[], None],
) -> Stopwatch:
    """Every question through every stage, each in another order, then through the baselines.

    Raises:
        EvaluationError: a part failed on the way; half a pipeline is not timed.
    """
    discarded = Stopwatch()
    for number in range(min(WARM_UP, len(questions))):
        _time_one(subject, questions[-number - 1], layout.scope(number), number, discarded)
    watch = Stopwatch()
    for number, question in enumerate(questions):
        _time_one(subject, question, layout.scope(number), number, watch)
        for name, time_ms in baseline(question).items():
            watch.add(name, time_ms)
        progress()
    return watch


def _time_one(subject: Subject, question: str, scope: Scope, turn: int, watch: Stopwatch) -> None:
    vector = subject.embedder.embed([question])[0]
    shard, bm25 = subject.store.shard, subject.store.bm25

    dense = DenseLeg.of(vector, scope)
    words = Bm25Leg.of(bm25, question, scope)
    anywhere = words.everywhere().request()
    asked = LISTED + SPARE  # what the retriever asks for
    lists = [leg_of(leg) for leg in shard.query_batch(legs(words, dense, asked))]
    alone = engines_own(dense, words, asked)
    runs: list[tuple[Stage, Callable[[], object]]] = [
        (Stage.EMBED, lambda: subject.embedder.embed([question])),
        (Stage.BM25, lambda: shard.query(Bm25Leg.of(bm25, question, scope).request())),
        (Stage.BM25_EVERYWHERE, lambda: shard.query(anywhere)),
        (Stage.DENSE, lambda: shard.query(DenseLeg.of(vector, scope).request())),
        (Stage.FUSE, lambda: best(shard, lists, asked)),
        (Stage.ENGINE, lambda: shard.query(alone)),
        (Stage.SEARCH, lambda: _found(subject.retriever, question, scope, vector=vector)),
        (Stage.FOUND, lambda: _found(subject.retriever, question, scope)),
    ]
    first = turn % len(runs)  # or one would always find the caches as another left them
    for stage, run in runs[first:] + runs[:first]:
        watch.time(stage, run)
    if subject.reranking:
        reranking = subject.reranking
        timings = watch.time(Stage.TOTAL, lambda: _found(reranking, question, scope))
        watch.add(Stage.RERANK, timings.get("rerank", 0.0))


def engines_own(dense: DenseLeg, bm25: Bm25Leg, limit: int) -> edge.QueryRequest:
    """Both lists as the engine fuses them itself, with payload."""
    return edge.QueryRequest(
        limit,
        query=edge.Fusion.Dbsf(),  # type: ignore[arg-type]  # the stubs keep its class apart
        prefetches=[dense.prefetch(), bm25.prefetch()],
        with_payload=True,
    )


def _found(
    retriever: HybridRetriever, question: str, scope: Scope, **vector: object
) -> Mapping[str, float]:
    found = retriever.search(question, LISTED, scope, **vector)  # type: ignore[arg-type]
    if found.degraded:
        raise EvaluationError(
            f"question {question!r}: the {' and the '.join(found.degraded)} failed; see above"
        )
    return found.timings_ms
