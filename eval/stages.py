"""The four stages of retrieval, measured side by side on the same searches.

A set's documents go through the product's own chunking and are cut into passages like any other
document. What is found are passages; a document's rank is that of its best passage. A leg brings
its best 100 passages, as in the product, so a long document's many passages can crowd others out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum

from eval.corpus_index import document_name
from eval.errors import EvaluationError
from retrieval.documents import Scope, ScoredPassage
from retrieval.points import LEG_LIMIT
from retrieval.retriever import HybridRetriever

PASSAGES = 2 * LEG_LIMIT  # everything that both legs bring: so that their own orders are whole


class Stage(StrEnum):
    """In the order in which a search goes through them."""

    BM25 = "bm25"
    DENSE = "dense"
    FUSED = "fused"
    RERANKED = "reranked"


Ranking = Mapping[str, Sequence[str]]  # query -> documents, best first


def search_all(
    retriever: HybridRetriever, queries: Iterable[tuple[str, str]], stages: Sequence[Stage]
) -> dict[Stage, Ranking]:
    """Every (id, text) searched once, and the documents found in the order of each stage.

    Raises:
        EvaluationError: a part failed; half a pipeline is not measured.
    """
    rankings: dict[Stage, dict[str, list[str]]] = {stage: {} for stage in stages}
    for name, text in queries:
        found = retriever.search(text, PASSAGES, Scope())
        if found.degraded:
            raise EvaluationError(
                f"query {name!r}: the {' and the '.join(found.degraded)} failed; see the log above"
            )
        for stage in stages:
            passages = in_order_of(stage, found.passages)
            rankings[stage][name] = list(
                dict.fromkeys(document_name(hit.source) for hit in passages)
            )
    return dict(rankings)


def in_order_of(stage: Stage, passages: Sequence[ScoredPassage]) -> list[ScoredPassage]:
    """What a stage alone would have given, read from the ranks and scores that came along."""
    match stage:
        case Stage.BM25:
            return _by_rank(passages, lambda hit: hit.bm25_rank)
        case Stage.DENSE:
            return _by_rank(passages, lambda hit: hit.dense_rank)
        case Stage.FUSED:
            return sorted(passages, key=lambda hit: (-hit.fused_score, hit.passage.id))
        case Stage.RERANKED:
            return list(passages)


def _by_rank(
    passages: Sequence[ScoredPassage], rank: Callable[[ScoredPassage], int | None]
) -> list[ScoredPassage]:
    found = [(place, hit) for hit in passages if (place := rank(hit)) is not None]
    return [hit for _, hit in sorted(found, key=lambda pair: pair[0])]
