"""Which words of the retrieved passages bear on the question: scored units of text.

The order of the passages, the decision to answer, and the quoting generator build on this: the
units of the best passages are embedded in one batch and compared with the question's vector, and
their words with the question's. What embeds them for quoting may be another model than what finds
passages: one that was taught which sentence answers. Then this is computed twice a question, since
the decision is fitted to vectors of the passages' own space.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from retrieval.documents import ScoredPassage
from retrieval.embedding import Embedder, Vectors
from retrieval.reranking import log_odds
from retrieval.words import content_words
from serving.asked_values import asked_kinds, states_one_of
from serving.sentences import Unit, units

PASSAGES_READ = 20  # passages whose units are scored
MAX_UNITS = 128  # bounds the cost on passages that are all short lines
REMEMBERED_UNITS = 20_000  # whose vectors are kept: about 30 MB a finder
WORD_WEIGHT = 0.25  # what holding all of the question's words adds to a unit's cosine
VALUE_WEIGHT = 0.15  # what stating a value of the asked kind adds
NEIGHBOUR_WEIGHT = 0.4  # share of the closer neighbour's cosine that is added
SUPPORT_WEIGHT = 0.3  # share of its passage's lag behind the best passage that a unit loses
UNIT_WEIGHT = 1.0  # what a passage's best unit adds to the passage's own cosine
BM25_WEIGHT = 0.015  # what a point of BM25 adds
RELEVANCE_WEIGHT = 0.03  # what a unit of the reranker's log odds adds


@dataclass(frozen=True, slots=True)
class Evidence:
    """A unit of the passage `passages[index]`.

    `cosine` is that of the question and heading + unit, `word_share` the share of the question's
    words that stand in the passage's headings or the unit. `score` says how well the unit would
    answer if it were quoted:

    score = cosine + WORD_WEIGHT * word_share + VALUE_WEIGHT * [states a value of the asked kind]
            + NEIGHBOUR_WEIGHT * (the higher cosine of the units before and after it)
            + SUPPORT_WEIGHT * (its passage's support - the best passage's)

    `to_closest` is the cosine of this unit and the one that is closest to the question.
    """

    index: int
    unit: Unit
    score: float
    cosine: float
    word_share: float
    to_closest: float = 1.0


class EvidenceFinder:
    """Reads the retrieved passages more closely than the index could.

    With `own_space` questions' vectors are not this embedder's: it embeds the question anew.
    """

    def __init__(self, embedder: Embedder, *, own_space: bool = False) -> None:
        self.name = embedder.name
        self._embedder = embedder
        self._own_space = own_space
        self._vectors: OrderedDict[str, Vectors] = OrderedDict()
        self._remembering = threading.Lock()

    def find(
        self,
        question: str,
        vector: Vectors | None,
        passages: Sequence[ScoredPassage],
    ) -> tuple[tuple[ScoredPassage, ...], tuple[Evidence, ...]]:
        """The passages in the order of their support, and their units, best first.

        Without a vector (the embedder is down) only words count, and the order stays.

        Raises:
            EmbeddingError: the embedder fails now.
        """
        passages = tuple(passages[:PASSAGES_READ])
        if vector is not None and self._own_space and passages:
            vector = self._embed([question])[0]  # (d,)
        found = self._score(question, vector, passages)
        if vector is not None:
            support = _support(passages, found)
            order = sorted(range(len(passages)), key=lambda index: (-support[index], index))
            passages = tuple(passages[index] for index in order)
            place = {old: new for new, old in enumerate(order)}
            behind = [SUPPORT_WEIGHT * (each - max(support)) for each in support]  # (passages,)
            found = [
                replace(item, index=place[item.index], score=item.score + behind[item.index])
                for item in found
            ]
        found.sort(key=lambda item: (-item.score, item.index, item.unit.start))
        return passages, tuple(found)

    def _score(
        self, question: str, vector: Vectors | None, passages: Sequence[ScoredPassage]
    ) -> list[Evidence]:
        pairs = [
            (index, unit)
            for index, hit in enumerate(passages)
            for unit in units(hit.passage.text, table_header=hit.passage.table_header)
        ][:MAX_UNITS]
        texts = [f"{_heading(passages[index])}: {unit.text}" for index, unit in pairs]
        cosines, to_closest = [0.0] * len(texts), [1.0] * len(texts)
        if vector is not None and texts:
            vectors = self._embed(texts)  # (units, d)
            cosines = (vectors @ vector).tolist()  # (units,)
            to_closest = (vectors @ vectors[int(np.argmax(cosines))]).tolist()  # (units,)
        wanted, kinds = content_words(question), asked_kinds(question)
        beside = _beside([index for index, _ in pairs], cosines)
        evidence = []
        for place, (index, unit) in enumerate(pairs):
            share = len(wanted & content_words(texts[place])) / max(1, len(wanted))
            score = (
                cosines[place]
                + WORD_WEIGHT * share
                + VALUE_WEIGHT * states_one_of(kinds, unit.text)
                + NEIGHBOUR_WEIGHT * beside[place]
            )
            evidence.append(Evidence(index, unit, score, cosines[place], share, to_closest[place]))
        return evidence

    def _embed(self, texts: Sequence[str]) -> Vectors:
        """(units, d): those of texts seen before from memory, the others in one batch."""
        keys = list(dict.fromkeys(texts))
        with self._remembering:
            known = {key: self._vectors[key] for key in keys if key in self._vectors}
        missing = [place for place, key in enumerate(keys) if key not in known]
        fresh = self._embedder.embed([keys[place] for place in missing])  # (missing, d)
        known |= {keys[place]: fresh[row] for row, place in enumerate(missing)}
        with self._remembering:
            for key in keys:
                self._vectors[key] = known[key]
                self._vectors.move_to_end(key)
            while len(self._vectors) > REMEMBERED_UNITS:
                self._vectors.popitem(last=False)
        return np.stack([known[text] for text in texts])


def _beside(passages: Sequence[int], cosines: Sequence[float]) -> list[float]:
    """For each unit the higher cosine of its neighbours in the same passage; 0 without any."""
    around = [(place - 1, place + 1) for place in range(len(passages))]
    return [
        max(
            (
                cosines[other]
                for other in pair
                if 0 <= other < len(passages) and passages[other] == passages[place]
            ),
            default=0.0,
        )
        for place, pair in enumerate(around)
    ]


def _heading(hit: ScoredPassage) -> str:
    return " > ".join(dict.fromkeys([hit.passage.title, *hit.passage.heading_path]))


def _support(passages: Sequence[ScoredPassage], evidence: Sequence[Evidence]) -> list[float]:
    """(passages,): cosine of the passage, its best unit's, BM25, and its relevance.

    A passage that the reranker had no time for counts as the least relevant one it read.
    """
    relevances = [hit.rerank_score for hit in passages if hit.rerank_score is not None]
    least = min(relevances, default=0.5)
    best = [-1.0] * len(passages)
    for item in evidence:
        best[item.index] = max(best[item.index], item.cosine)
    return [
        (hit.dense_score or 0.0)
        + UNIT_WEIGHT * unit
        + BM25_WEIGHT * (hit.bm25_score or 0.0)
        + RELEVANCE_WEIGHT * log_odds(least if hit.rerank_score is None else hit.rerank_score)
        for hit, unit in zip(passages, best, strict=True)
    ]
