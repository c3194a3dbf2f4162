"""Our two models, and our ingest, beside the same weights in sentence-transformers."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval.bench.baselines import Baselines
from eval.bench.corpus import Corpus, ingestible
from eval.bench.timing import Percentiles, Stopwatch
from eval.corpus_index import Pipeline, Track
from retrieval.documents import Passage
from retrieval.embedding import Embedder
from retrieval.folder_index import open_folder_index
from retrieval.onnx_reranker import OnnxReranker

PAIRS = 20
PAIR_TOKENS = 120  # of a passage that is reranked for the comparison
RERANKED_QUESTIONS = 50  # each takes the two models about a second
ROUNDS = 10  # in which we and a baseline take turns
REST_S = 0.1
OURS, THEIRS = "ours", "theirs"


@dataclass(frozen=True, slots=True)
class Compared:
    """Ours and theirs on the same input. `ratio` is how many times longer theirs took.

    `agreement` is the mean cosine of the vectors, or the mean rank correlation of the scores.
    """

    ours: Percentiles
    theirs: Percentiles
    ratio: float
    agreement: float
    least_agreement: float

    @classmethod
    def of(cls, watch: Stopwatch, agreements: Sequence[float]) -> Compared:
        """At the medians."""
        ours, theirs = (watch.percentiles()[name] for name in (OURS, THEIRS))
        ratio = theirs.p50 / ours.p50
        return cls(ours, theirs, ratio, float(np.mean(agreements)), float(min(agreements)))

    def record(self) -> dict[str, Any]:
        """For a result file."""
        return {
            OURS: self.ours.record(),
            THEIRS: self.theirs.record(),
            "ratio": self.ratio,
            "agreement": self.agreement,
            "least_agreement": self.least_agreement,
        }


def compare_embedding(
    embedder: Embedder, baselines: Baselines, questions: Sequence[str], *, track: Track
) -> Compared:
    """One question at a time, in turns of several.

    Threads spin a while after their work, and would slow down the other side's next question.
    """
    watch = Stopwatch()
    cosines = []
    for turn in track(range(ROUNDS), description="Embedding questions"):
        asked = questions[turn::ROUNDS]
        if not asked:
            continue
        _rested(lambda: embedder.embed([questions[0]]))
        ours = [
            watch.time(OURS, lambda text=question: embedder.embed([text])[0])  # type: ignore[misc]
            for question in asked
        ]
        _rested(lambda: baselines.encode([questions[0]]))
        for question, vector in zip(asked, ours, strict=True):
            time_ms, theirs = baselines.encode([question])
            watch.add(THEIRS, time_ms)
            cosines.append(float(vector @ theirs[0]))
    return Compared.of(watch, cosines)


def compare_reranking(
    reranker: OnnxReranker,
    baselines: Baselines,
    questions: Sequence[str],
    passages: Sequence[Passage],
    *,
    track: Track,
) -> Compared:
    """Twenty pairs at a time, drawn from the passages.

    Ours is timed as it is used, on windows of the passages; whether the scores agree is asked of
    the same whole texts.
    """
    rng = np.random.default_rng(0)
    watch = Stopwatch()
    correlations = []
    asked = list(questions[: RERANKED_QUESTIONS + 1])
    for number, question in enumerate(track(asked, description="Reranking")):
        size = min(PAIRS, len(passages))
        chosen = [passages[place] for place in rng.choice(len(passages), size, replace=False)]
        watch.time(
            OURS,
            lambda text=question, read=chosen: reranker.rerank(text, read),  # type: ignore[misc]
        )
        pairs = [(question, each.searchable) for each in chosen]
        time_ms, theirs = baselines.predict(pairs)
        watch.add(THEIRS, time_ms)
        if number == 0 and len(asked) > 1:
            watch.times_ms.clear()  # the first run of a model is no run like others
            continue
        correlations.append(_rank_correlation(reranker.logits(pairs), theirs))
    return Compared.of(watch, correlations)


def passages_of_length(corpus: Corpus, embedder: Embedder) -> tuple[list[Passage], float]:
    """The ten times twenty passages next to 120 tokens, and their mean number of tokens."""
    tokenizer = type(embedder.tokenizer).from_str(embedder.tokenizer.to_str())
    tokenizer.no_truncation()
    passages = [passage for group in corpus.groups for passage in group.passages]
    lengths = [len(tokenizer.encode(passage.searchable).ids) for passage in passages]
    places = sorted(range(len(passages)), key=lambda place: abs(lengths[place] - PAIR_TOKENS))
    chosen = places[: 10 * PAIRS]
    return [passages[place] for place in chosen], float(np.mean([lengths[p] for p in chosen]))


@dataclass(frozen=True, slots=True)
class Ingested:
    """Seconds that the whole ingest took, and `SentenceTransformer.encode` alone."""

    passages: int
    ours_s: float
    theirs_s: float

    @property
    def ratio(self) -> float:
        """How many times longer theirs took."""
        return self.theirs_s / self.ours_s

    def record(self) -> dict[str, Any]:
        """For a result file."""
        return {
            "passages": self.passages,
            "ours_s": self.ours_s,
            "theirs_s": self.theirs_s,
            "ratio": self.ratio,
        }


def compare_ingest(
    pipeline: Pipeline, baselines: Baselines, corpus: Corpus, *, passages: int, track: Track
) -> Ingested:
    """Loading, cutting, embedding, storing; theirs gets the same passages, cut already."""
    chosen = ingestible(corpus, passages)
    baselines.encode(["warm"])
    ours_s = theirs_s = 0.0
    count = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        open_folder_index(
            Path(folder),
            pipeline.embedder,
            passage_tokens=pipeline.passage_tokens,
            language=pipeline.language,
        ) as index,
    ):
        for turn in track(range(ROUNDS), description="Ingesting"):
            part = chosen[turn::ROUNDS]
            if not part:
                continue
            started = time.perf_counter()
            for _ in index.ingestor.put_all([file for file, _ in part]):
                pass
            ours_s += time.perf_counter() - started
            texts = [passage.searchable for _, cut in part for passage in cut]
            theirs_s += baselines.encode(texts)[0] / 1000
            count += len(texts)
    return Ingested(count, ours_s, theirs_s)


def _rested(warm: Callable[[], object]) -> None:
    """The first run after a rest is like no other."""
    time.sleep(REST_S)
    warm()


def _rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's: the correlation of the ranks."""
    if len(one) < 2:
        return 1.0
    ours, theirs = (np.argsort(np.argsort(scores)).astype(np.float64) for scores in (one, other))
    return float(np.corrcoef(ours, theirs)[0, 1])
