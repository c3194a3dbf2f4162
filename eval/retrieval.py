"""One retrieval set through the pipeline: every query's scores at every stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.beir import Dataset
from eval.corpus_index import Pipeline, Track, open_corpus_index
from eval.measures import Scores, score
from eval.stages import Stage, search_all


@dataclass(frozen=True, slots=True)
class Measured:
    """A set's scores, stage -> measure -> (queries,); stages stand in their order.

    `trained_on`: the set trained a model of the pipeline, whose figures flatter here.
    """

    dataset: Dataset
    passages: int
    scores: Mapping[Stage, Scores]
    trained_on: bool = False

    @property
    def label(self) -> str:
        """The set's name, marked."""
        return f"{self.dataset.name} (trained on)" if self.trained_on else self.dataset.name

    def record(self) -> dict[str, Any]:
        """What was measured, for a result file."""
        return {
            "name": self.dataset.name,
            "trained_on": self.trained_on,
            "documents": len(self.dataset.documents),
            "passages": self.passages,
            "judged_queries": self.dataset.judged,
            "corpus_sha256": self.dataset.corpus_sha256(),
        }


def measure(dataset: Dataset, pipeline: Pipeline, *, work: Path | None, track: Track) -> Measured:
    """Index the documents, search every query; the reranked stage only where there is a reranker.

    Raises:
        EvaluationError: a part of the pipeline failed on the way.
        RetrievalError: the documents cannot be indexed.
    """
    stages = [stage for stage in Stage if pipeline.reranking or stage is not Stage.RERANKED]
    with open_corpus_index(dataset, pipeline, work=work, track=track) as index:
        queries = track(list(dataset.queries.items()), description=f"Searching {dataset.name}")
        rankings = search_all(index.retriever, queries, stages)
        passages = index.store.count()
    scores = {stage: score(ranking, dataset.grades) for stage, ranking in rankings.items()}
    return Measured(dataset, passages, scores, dataset.name in pipeline.trained_on)
