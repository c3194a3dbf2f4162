"""The engine's BM25 against `rank_bm25`, an independent implementation, on real questions."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.documents import Scope, ScoredPassage
from retrieval.edge_store import EdgeStore
from retrieval.points import IndexManifest, bm25_of
from starter import bundle
from tests.retrieval.engines import put

rank_bm25 = pytest.importorskip("rank_bm25", reason="the extra `dev` is not installed")

QUESTIONS = 500
K1, B = 1.2, 0.75
TOP = 10
CLOSE = 1e-4  # relative; the engine computes in single precision


@cache
def token_of(word: str) -> int | None:
    """Number of the word's stem, or nothing for a stop word."""
    stems: Sequence[int] = (
        bm25_of(IndexManifest(embedder="hash", dimension=64)).embed_query(word).indices
    )
    return stems[0] if stems else None


def tokens(text: str) -> list[int]:
    found = (token_of(word) for word in re.findall(r"[^\W_]+", text.lower()))
    return [token for token in found if token is not None]


class Reference(rank_bm25.BM25Okapi):  # type: ignore[misc, name-defined]  # it has no types
    """With the IDF that is never negative (Lucene's), which the engine has too."""

    def _calc_idf(self, nd: dict[int, int]) -> None:
        for token, n in nd.items():
            self.idf[token] = math.log(1 + (self.corpus_size - n + 0.5) / (n + 0.5))


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Paragraphs of the starter documents, each once."""
    files = sorted(bundle.DOCUMENTS.rglob("*.md"))
    blocks = [block.strip() for file in files for block in file.read_text().split("\n\n")]
    return [text for text in dict.fromkeys(blocks) if tokens(text)]


@pytest.fixture(scope="module")
def reference(texts: list[str]) -> Reference:
    return Reference([tokens(text) for text in texts], k1=K1, b=B)


@pytest.fixture(scope="module")
def store(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], reference: Reference
) -> Iterator[EdgeStore]:
    manifest = IndexManifest(embedder="hash", dimension=64, avg_len=float(reference.avgdl))
    folder: Path = tmp_path_factory.mktemp("bm25")
    with closing(EdgeStore(folder / "index", manifest)) as store:
        put(store, "all", *texts)
        yield store


def search(store: EdgeStore, question: str) -> list[ScoredPassage]:
    return store.search(question, None, scope=Scope(), limit=TOP)


def expected(reference: Reference, question: str) -> NDArray[np.float64]:
    """(passages,) scores, each query term counted once."""
    scores: NDArray[np.float64] = reference.get_scores(list(dict.fromkeys(tokens(question))))
    return scores


def test_rankings_are_those_of_rank_bm25(store: EdgeStore, reference: Reference) -> None:
    questions = [question.question for question in bundle.read_questions()][:QUESTIONS]
    assert len(questions) == QUESTIONS

    lengths = Counter[int]()
    for question in questions:
        scores = expected(reference, question)
        found = search(store, question)
        ours = [hit.bm25_score or 0.0 for hit in found]
        best = np.sort(scores[scores > 0])[::-1][:TOP]
        # The same scores in the same places: then the passages differ between ties alone,
        assert np.allclose(ours, best, rtol=CLOSE), question
        # and each has the score that it should have.
        own = [scores[hit.passage.ordinal] for hit in found]
        assert np.allclose(ours, own, rtol=CLOSE), question
        lengths[len(ours)] += 1
    assert lengths[TOP] > 0.9 * QUESTIONS


def test_repeated_words_of_a_question_count_once(store: EdgeStore) -> None:
    once, twice = search(store, "suitcase fee"), search(store, "suitcase fee suitcase fees")
    assert [hit.bm25_score for hit in once] == [hit.bm25_score for hit in twice]
