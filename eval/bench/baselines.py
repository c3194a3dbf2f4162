"""The parent's side of the process that holds what others would use."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from functools import cache
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.bench import baseline_process
from eval.bench.corpus import Corpus
from eval.errors import EvaluationError
from eval.reference import Weights
from retrieval.points import IndexManifest

SECONDS = 60.0  # that each of the searches may take at one size; then fewer questions are timed
END_TIMEOUT_S = 10

logger = logging.getLogger(__name__)


class Baseline(StrEnum):
    """By the name of the package or of its call."""

    RANK_BM25 = "rank-bm25"
    BM25S = "bm25s"
    ENCODE = "encode"
    PREDICT = "predict"


SEARCHES = (Baseline.RANK_BM25, Baseline.BM25S)


class Baselines:
    """Asks the child, which starts with the first question, and waits; so does it, for us."""

    def __init__(self, start: Callable[[], Connection], wanted: Sequence[Baseline]) -> None:
        self._connection = cache(start)
        self._left_s: dict[Baseline, float] = {}
        self.wanted = frozenset(wanted)

    def prepare(self, corpus: Corpus, size: int, *, max_memory_gib: float) -> dict[str, str]:
        """Index the corpus with each of the searches that has room; says why another has not."""
        self._left_s = {}
        skipped = {}
        searches = [name for name in SEARCHES if name in self.wanted]
        if searches:
            self._ask("drop")
        for name in searches:
            needs = self._ask("needed_gib", name.value, corpus, size)
            if needs > max_memory_gib:
                skipped[name.value] = f"would take {needs:.1f} GiB"
                continue
            logger.info("%s: indexing %d passages", name.value, size)
            self._ask("build", name.value, corpus, size)
            self._left_s[name] = SECONDS
        return skipped

    def search(self, question: str) -> Mapping[str, float]:
        """Milliseconds of each that is prepared and still has time."""
        found = {}
        for name, left_s in self._left_s.items():
            if left_s > 0:
                found[name.value] = self._ask("search", name.value, question)
                self._left_s[name] = left_s - found[name.value] / 1000
        return found

    def encode(self, texts: Sequence[str]) -> tuple[float, NDArray[np.float32]]:
        """Milliseconds and vectors of `SentenceTransformer.encode`."""
        time_ms, vectors = self._ask("encode", texts)
        return time_ms, vectors

    def predict(self, pairs: Sequence[tuple[str, str]]) -> tuple[float, list[float]]:
        """Milliseconds and scores of `CrossEncoder.predict`."""
        time_ms, scores = self._ask("predict", pairs)
        return time_ms, scores

    def _ask(self, name: str, *arguments: Any) -> Any:
        try:
            connection = self._connection()
            connection.send((name, arguments))
            done, result = connection.recv()
        except (EOFError, OSError) as error:
            raise EvaluationError(
                f"the process of the baselines ended ({name}); was it out of memory? "
                "--max-memory-gib bounds it"
            ) from error
        if not done:
            raise EvaluationError(f"a baseline failed: {result}")
        return result


@contextmanager
def open_baselines(
    wanted: Sequence[Baseline], manifest: IndexManifest, weights: Weights | None
) -> Iterator[Baselines]:
    """Without `weights` there are no `encode` and `predict` to compare with."""
    if weights is None:
        wanted = [name for name in wanted if name in SEARCHES]
    context = multiprocessing.get_context("spawn")
    with ExitStack() as opened:

        def start() -> Connection:
            ours, childs = context.Pipe()
            child = context.Process(
                target=baseline_process.answer, args=(childs, manifest, weights), daemon=True
            )
            child.start()
            childs.close()
            opened.callback(child.join)
            opened.callback(child.kill)
            opened.callback(child.join, END_TIMEOUT_S)
            opened.callback(ours.close)
            return ours

        yield Baselines(start, wanted)
