"""The `Reranker` seam: a query and passages -> a relevance score for each."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from retrieval.documents import Passage
from retrieval.errors import RetrievalError

MAX_LOG_ODDS = 10.0
RERANK_CANDIDATES = 12
RERANK_WEIGHT = 0.3


class RerankError(RetrievalError):
    """The reranker could not be loaded or could not run."""


class Reranker(Protocol):
    """Reads the query and a passage together, which ranks better and costs more than vectors."""

    @property
    def name(self) -> str:
        """Model name, for the answer's record."""
        ...

    def rerank(
        self, query: str, passages: Sequence[Passage], *, budget_ms: float = math.inf
    ) -> list[float]:
        """For each passage, in their order, the probability that it answers the query.

        Once the budget is spent no other passage is begun: scores are missing at the end then.

        Raises:
            RerankError: the model failed.
        """
        ...


@dataclass(frozen=True, slots=True)
class Reranking:
    """Which of the fused passages a reranker reads, and what its scores count for.

    A passage's score is its fused one + `weight` * log odds of its relevance: at weight 0 the fused
    order stands, and the scores are only noted. Candidates and weight: by measurement, docs/LOG.md.
    """

    reranker: Reranker
    candidates: int = RERANK_CANDIDATES
    weight: float = RERANK_WEIGHT
    budget_ms: float = math.inf


def sigmoid(logit: float) -> float:
    """The probability in (0, 1) whose log odds are the logit, or MAX_LOG_ODDS if that is less."""
    return 1 / (1 + math.exp(-min(max(logit, -MAX_LOG_ODDS), MAX_LOG_ODDS)))


def log_odds(probability: float) -> float:
    """In [-MAX_LOG_ODDS, MAX_LOG_ODDS]: beyond it a reranker's certainty counts no more."""
    floor = sigmoid(-MAX_LOG_ODDS)
    probability = min(max(probability, floor), 1 - floor)
    return math.log(probability / (1 - probability))


class CrossEncoderReranker:
    """Any sentence-transformers `CrossEncoder`, by hub name or folder."""

    def __init__(self, model_name: str, *, max_tokens: int = 256, batch_size: int = 16) -> None:
        try:
            from sentence_transformers import CrossEncoder
        except ImportError as error:
            raise RerankError(
                "cross-encoders by name need the extra: pip install 'twofold[models]'"
            ) from error
        try:
            self._model = CrossEncoder(model_name, max_length=max_tokens)
        except Exception as error:
            raise RerankError(
                f"cannot load cross-encoder {model_name!r}: {error}; give a folder that holds "
                "one, or a hub name where a network is available"
            ) from error
        self.name = model_name
        self._batch_size = batch_size

    def rerank(
        self, query: str, passages: Sequence[Passage], *, budget_ms: float = math.inf
    ) -> list[float]:
        """Sigmoids of the model's logits; the budget is looked at between batches."""
        import torch

        ends = time.perf_counter() + budget_ms / 1000
        pairs = [(query, passage.searchable) for passage in passages]
        scores: list[float] = []
        while len(scores) < len(pairs) and time.perf_counter() < ends:
            batch = pairs[len(scores) : len(scores) + self._batch_size]
            try:
                logits = self._model.predict(
                    batch, show_progress_bar=False, activation_fn=torch.nn.Identity()
                )
                scores += [sigmoid(float(logit)) for logit in logits]
            except Exception as error:
                raise RerankError(
                    f"{self.name} failed on {len(pairs)} passages: {error}"
                ) from error
        return scores


class OverlapReranker:
    """Share of the query's distinct words that a passage holds. Deterministic, for tests."""

    name = "overlap"

    def rerank(
        self, query: str, passages: Sequence[Passage], *, budget_ms: float = math.inf
    ) -> list[float]:
        """Each in [0, 1]."""
        del budget_ms  # takes no time
        wanted = set(re.findall(r"\w+", query.lower()))
        return [
            len(wanted & set(re.findall(r"\w+", passage.searchable.lower()))) / max(1, len(wanted))
            for passage in passages
        ]
