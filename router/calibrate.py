"""Fit the probability that the documents hold an answer, and choose below which nothing is said.

    python -m router.calibrate [--out FILE]

Questions with an answer: the answerable `dev` questions over the starter documents, and those of
the written help centres that no other model was trained on. Questions without: the unanswerable
`dev` questions, and those that were written to be nearly answered by those help centres. The
threshold is chosen on the `dev` questions, with each question's probability predicted by models
that have not seen it.
"""

from __future__ import annotations

import argparse
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from retrieval.documents import Scope
from retrieval.embedding import Embedder
from retrieval.ingest import SourceFile
from retrieval.reranking import Reranking
from retrieval.retriever import HybridRetriever
from retrieval.temporary import temporary_retriever
from serving.answerability import (
    RERANK_SIGNALS,
    SEARCH_SIGNALS,
    Answerability,
    Floats,
    Weighing,
    rerank_signals,
    search_signals,
)
from serving.assistant import CANDIDATES
from serving.evidence import EvidenceFinder
from starter import bundle

SEED = 20261123
FOLDS = 10
REPEATS = 8  # other splits, whose probabilities are averaged: one split's threshold is noisy
MAX_WRONG_REFUSALS = 0.08  # of the answerable dev questions; the promise is 0.10
DEV_WEIGHT = 2.0  # of a dev question against one of a written help centre

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Case:
    """The signals of one question, and whether the passages held its answer."""

    signals: Floats
    answerable: bool
    weight: float
    is_dev: bool


def main() -> None:
    """Collect the cases, fit with and without the reranker's signals, choose thresholds, save."""
    from serving.settings import BUNDLED, load_settings
    from serving.wiring import build_embedder, build_reranking

    parser = argparse.ArgumentParser(prog="python -m router.calibrate", description=__doc__)
    parser.add_argument("--out", type=Path, default=bundle.ANSWERABILITY, metavar="FILE")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = load_settings(reranker=BUNDLED, rerank_budget_ms=math.inf)
    embedder, reranking = build_embedder(settings), build_reranking(settings)
    assert reranking is not None
    cases = [
        *starter_cases(embedder, reranking, settings.passage_tokens),
        *written_cases(embedder, reranking),
    ]
    logger.info("search alone:")
    searched = calibrate(
        [replace(case, signals=case.signals[: len(SEARCH_SIGNALS)]) for case in cases]
    )
    logger.info("with the reranker:")
    reranked = calibrate(cases)
    Answerability(embedder.name, searched, reranking.reranker.name, reranked).save(options.out)
    logger.info("saved to %s", options.out)


def calibrate(cases: Sequence[Case]) -> Weighing:
    """Fit on all cases; the threshold comes from cross-validated probabilities of `dev`."""
    signals = np.stack([case.signals for case in cases])  # (cases, signals)
    labels = np.array([case.answerable for case in cases])
    weights = np.array([case.weight for case in cases])
    is_dev = np.array([case.is_dev for case in cases])
    share = np.array([weights[~labels].sum(), weights[labels].sum()])
    weights = weights * (share.sum() / (2 * share))[labels.astype(int)]  # both classes alike
    held_out = np.mean(
        [_held_out(signals, labels, weights, seed=SEED + n) for n in range(REPEATS)], axis=0
    )
    answerable = np.sort(held_out[is_dev & labels])
    threshold = float(answerable[int(MAX_WRONG_REFUSALS * len(answerable))])
    refused = float((held_out[is_dev & ~labels] < threshold).mean())
    logger.info(
        "dev, cross-validated: threshold %.3f refuses %.0f %% of %d unanswerable and %.0f %% of "
        "%d answerable questions",
        threshold,
        100 * refused,
        (is_dev & ~labels).sum(),
        100 * float((answerable < threshold).mean()),
        len(answerable),
    )
    fitted = _fit(signals, labels, weights, threshold=threshold)
    names = (*SEARCH_SIGNALS, *RERANK_SIGNALS)[: len(fitted.weights)]
    for name, weight in zip(names, fitted.weights, strict=True):
        logger.info("  %-28s %+.2f", name, weight)
    return fitted


def _held_out(signals: Floats, labels: np.ndarray, weights: np.ndarray, *, seed: int) -> np.ndarray:
    """(cases,) probabilities, each by a model that has not seen the case."""
    probabilities = np.empty(len(labels))
    folds = np.random.default_rng(seed).integers(FOLDS, size=len(labels))
    for fold in range(FOLDS):
        seen = folds != fold
        part = _fit(signals[seen], labels[seen], weights[seen])
        probabilities[~seen] = part.probabilities(signals[~seen])
    return probabilities


def starter_cases(embedder: Embedder, reranking: Reranking, passage_tokens: int) -> Iterator[Case]:
    """The `dev` questions of fact, over the starter documents."""
    files = [
        SourceFile(
            path.relative_to(bundle.DOCUMENTS).as_posix(),
            path.read_bytes(),
            collection=path.parent.name,
        )
        for path in sorted(bundle.DOCUMENTS.rglob("*.*"))
    ]
    questions = [q for q in bundle.read_questions(split="dev") if q.route == "rag"]
    with temporary_retriever(
        files, embedder, passage_tokens=passage_tokens, reranking=reranking
    ) as retriever:
        finder = EvidenceFinder(embedder)
        for question in questions:
            signals = _signals(question.question, retriever, finder, Scope())
            yield Case(signals, bool(question.documents), DEV_WEIGHT, is_dev=True)


def written_cases(embedder: Embedder, reranking: Reranking) -> Iterator[Case]:
    """The questions to the help centres that were held out, each asked of its own organisation."""
    rows = bundle.read_written_passages(trained_on=False)
    files = [
        SourceFile(
            f"{number}.md",
            f"# {row.title}\n\n## {row.heading}\n\n{row.passage}\n".encode(),
            collection=row.organisation,
        )
        for number, row in enumerate(rows)
    ]
    with temporary_retriever(files, embedder, passage_tokens=512, reranking=reranking) as retriever:
        finder = EvidenceFinder(embedder)
        for row in rows:
            scope = Scope(collections=(row.organisation,))
            for question in (*row.questions, *row.unanswered):
                signals = _signals(question, retriever, finder, scope)
                yield Case(signals, question in row.questions, 1.0, is_dev=False)


def _signals(
    question: str, retriever: HybridRetriever, finder: EvidenceFinder, scope: Scope
) -> Floats:
    vector = retriever.embed(question)
    found = retriever.search(question, CANDIDATES, scope, vector=vector)
    passages, evidence = finder.find(question, vector, found.passages)
    signals: Floats = np.concatenate(
        [search_signals(passages, evidence), rerank_signals(passages, evidence)]
    )
    return signals


def _fit(
    signals: Floats, labels: np.ndarray, weights: np.ndarray, *, threshold: float = 0.5
) -> Weighing:
    from sklearn.linear_model import LogisticRegression

    mean, scale = signals.mean(axis=0), signals.std(axis=0) + 1e-6
    model = LogisticRegression(C=0.3, max_iter=2000)
    model.fit((signals - mean) / scale, labels, sample_weight=weights)
    return Weighing(
        weights=model.coef_[0].astype(np.float32),
        mean=mean.astype(np.float32),
        scale=scale.astype(np.float32),
        bias=float(model.intercept_[0]),
        threshold=threshold,
    )


if __name__ == "__main__":
    main()
