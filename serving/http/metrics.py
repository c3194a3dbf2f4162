"""Prometheus metrics of one server; a registry of its own, so that two servers never mix."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from serving.answers import Answer

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """What the assistant did, and how long each stage took."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._answers = Counter(
            "twofold_answers",
            "Answers by route and outcome.",
            ["route", "outcome"],
            registry=self._registry,
        )
        self._errors = Counter(
            "twofold_errors",
            "Questions that ended in an error.",
            ["error"],
            registry=self._registry,
        )
        self._degraded = Counter(
            "twofold_degraded",
            "Answers given without a part that failed or is missing.",
            ["part"],
            registry=self._registry,
        )
        self._tokens = Counter(
            "twofold_tokens", "Tokens read and written.", ["kind"], registry=self._registry
        )
        self._stages = Histogram(
            "twofold_stage_seconds",
            "Time of each stage of an answer.",
            ["stage"],
            buckets=BUCKETS_S,
            registry=self._registry,
        )
        self._documents = Gauge(
            "twofold_documents", "Live documents in the catalogue.", registry=self._registry
        )
        self._passages = Gauge(
            "twofold_passages", "Passages in the index.", registry=self._registry
        )

    def answered(self, answer: Answer) -> None:
        """Count a finished answer."""
        self._answers.labels(answer.routing.route, answer.outcome).inc()
        self._tokens.labels("prompt").inc(answer.usage.prompt_tokens)
        self._tokens.labels("completion").inc(answer.usage.completion_tokens)
        for part in answer.degraded:
            self._degraded.labels(part).inc()
        for stage, milliseconds in answer.timings_ms.items():
            self._stages.labels(stage).observe(milliseconds / 1000)

    def failed(self, error: Exception) -> None:
        """Count a question that ended in an error."""
        self._errors.labels(type(error).__name__).inc()

    def render(self, *, documents: int, passages: float) -> bytes:
        """The exposition format, with the sizes as they are now."""
        self._documents.set(documents)
        self._passages.set(passages)
        return generate_latest(self._registry)
