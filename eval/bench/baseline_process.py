"""What others would use, in a process of its own, so that its memory is not counted as ours.

The parent asks, this process answers with the time that it took: what is compared runs in turns,
on the same machine at the same moment.
"""

from __future__ import annotations

import os
import re
import time
import tracemalloc
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.bench.corpus import Corpus
from eval.reference import Weights, cross_encoder, sentence_transformer
from retrieval.points import LEG_LIMIT, IndexManifest, bm25_of

PILOT = 2_000  # passages by which the memory for all is estimated
K1, B = 1.2, 0.75


def answer(connection: Connection, manifest: IndexManifest, weights: Weights | None) -> None:
    """Serve (name, arguments) until the parent hangs up; an exception is sent back."""
    os.environ |= {"TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    warnings.simplefilter("ignore")  # theirs are not ours to mend
    bench = _Baselines(manifest, weights)
    while True:
        try:
            name, arguments = connection.recv()
        except EOFError:
            return
        try:
            connection.send((True, getattr(bench, name)(*arguments)))
        except Exception as error:  # noqa: BLE001  # the parent says what failed
            connection.send((False, f"{name}: {type(error).__name__}: {error}"))


class _Baselines:
    """Each public method is a question of the parent."""

    def __init__(self, manifest: IndexManifest, weights: Weights | None) -> None:
        self._bm25 = bm25_of(manifest)
        self._weights = weights
        self._searches: dict[str, Callable[[list[str]], object]] = {}
        self._token = cache(self._stem)

    def needed_gib(self, name: str, corpus: Corpus, size: int) -> float:
        """Peak memory for all passages, by that for the first ones."""
        pilot = min(PILOT, size)
        texts = list(islice(corpus.texts(size), pilot))
        for text in texts:
            self._tokens(text)  # the table of words is shared by all
        tracemalloc.start()
        _BUILD[name]([self._tokens(text) for text in texts])
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak / pilot * size / 2**30

    def build(self, name: str, corpus: Corpus, size: int) -> float:
        """Seconds that indexing took."""
        started = time.perf_counter()
        tokens = [self._tokens(text) for text in corpus.texts(size)]
        self._searches[name] = _BUILD[name](tokens)
        return time.perf_counter() - started

    def drop(self) -> None:
        """Forget every index."""
        self._searches.clear()

    def search(self, name: str, question: str) -> float:
        """Milliseconds from the question's text to the best 100."""
        started = time.perf_counter()
        self._searches[name](self._tokens(question))
        return (time.perf_counter() - started) * 1000

    def encode(self, texts: Sequence[str]) -> tuple[float, NDArray[np.float32]]:
        """Milliseconds, and the vectors: one text as a question, several in batches of 32."""
        model = self._encoder()
        started = time.perf_counter()
        vectors = model.encode(list(texts), show_progress_bar=False)
        return (time.perf_counter() - started) * 1000, np.asarray(vectors, dtype=np.float32)

    def predict(self, pairs: Sequence[tuple[str, str]]) -> tuple[float, list[float]]:
        """Milliseconds, and the scores."""
        model = self._cross_encoder()
        started = time.perf_counter()
        scores = model.predict(list(pairs), show_progress_bar=False)
        return (time.perf_counter() - started) * 1000, [float(score) for score in scores]

    def _tokens(self, text: str) -> list[str]:
        """The same words that our index has: stems, without stop words."""
        found = (self._token(word) for word in re.findall(r"[^\W_]+", text.lower()))
        return [token for token in found if token]

    def _stem(self, word: str) -> str:
        stems = self._bm25.embed_query(word).indices
        return str(stems[0]) if stems else ""

    @cache  # noqa: B019  # lives as long as the process
    def _encoder(self) -> Any:
        assert self._weights is not None
        return sentence_transformer(self._weights)

    @cache  # noqa: B019
    def _cross_encoder(self) -> Any:
        assert self._weights is not None
        return cross_encoder(self._weights)


def _rank_bm25(tokens: list[list[str]]) -> Callable[[list[str]], object]:
    import rank_bm25

    index = rank_bm25.BM25Okapi(tokens, k1=K1, b=B)

    def search(question: list[str]) -> NDArray[np.int64]:
        scores = index.get_scores(question)
        best = np.argpartition(-scores, min(LEG_LIMIT, len(scores)) - 1)[:LEG_LIMIT]
        return best[np.argsort(-scores[best])]

    return search


def _bm25s(tokens: list[list[str]]) -> Callable[[list[str]], object]:
    import bm25s

    index = bm25s.BM25(k1=K1, b=B)
    index.index(tokens, show_progress=False)
    limit = min(LEG_LIMIT, len(tokens))

    def search(question: list[str]) -> object:
        return index.retrieve([question], k=limit, show_progress=False) if question else None

    return search


_BUILD: dict[str, Callable[[list[list[str]]], Callable[[list[str]], object]]] = {
    "rank-bm25": _rank_bm25,
    "bm25s": _bm25s,
}
