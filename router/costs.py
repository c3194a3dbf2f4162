"""What a month costs, line by line, for each system at the same number of queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from router.amounts import Span
from router.intents import Route
from router.prices import Mode, Prices

SECONDS_PER_HOUR = 3600
NOTHING = Span(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Line:
    """One item of the bill: fixed each month, by the query, and once."""

    name: str
    fixed: float = 0.0
    per_query: float = 0.0
    once: Span = NOTHING

    def monthly(self, queries: float) -> float:
        """In dollars: fixed + per_query · queries."""
        return self.fixed + self.per_query * queries


@dataclass(frozen=True, slots=True)
class Bill:
    """The items of one system; `capacity` is the most queries a month, where a machine sets it."""

    lines: tuple[Line, ...]
    capacity: float | None = None

    @property
    def fixed(self) -> float:
        """What a month without a query costs."""
        return sum(line.fixed for line in self.lines)

    @property
    def per_query(self) -> float:
        """What one more query costs."""
        return sum(line.per_query for line in self.lines)

    @property
    def once(self) -> Span:
        """What is paid once."""
        return sum((line.once for line in self.lines), NOTHING)

    def monthly(self, queries: float) -> float:
        """Linear in the queries, in dollars."""
        return sum(line.monthly(queries) for line in self.lines)

    def exceeded_by(self, queries: float) -> bool:
        """Whether so many queries are more than the machine gets done."""
        return self.capacity is not None and queries > self.capacity

    def record(self, queries: int) -> dict[str, Any]:
        """For JSON."""
        return {
            "monthly": self.monthly(queries),
            "once": asdict(self.once),
            "capacity_queries": self.capacity,
            "lines": [
                {"name": line.name, "monthly": line.monthly(queries), "once": asdict(line.once)}
                for line in self.lines
            ],
        }


def bill(route: Route, prices: Prices) -> Bill:
    """The bill of RAG alone, the fine-tuned model alone, or both, in the file's mode."""
    lines = tuple(_retrieved_lines(prices)) if route is not Route.FINE_TUNED else ()
    capacity = None
    if prices.mode is Mode.SELF_HOSTED and route is not Route.RAG:
        hosted = prices.self_hosted
        lines += (Line("LoRA hosting", fixed=hosted.hosting_per_month, once=hosted.training),)
        capacity = capacity_queries(prices) if route is Route.FINE_TUNED else None
    elif route is Route.HYBRID:
        lines += (Line("LoRA training", once=prices.managed.hybrid_training),)
    elif route is Route.FINE_TUNED:
        lines += (_managed_inference(prices),)
    return Bill(lines, capacity)


def gpu_bill(prices: Prices) -> Bill:
    """One 24 GB GPU of one's own for model, adapter and embedder; the documents stay hosted."""
    month = prices.gpu.price_per_hour * prices.capacity.hours_per_month
    return Bill(
        (
            Line("GPU", fixed=month, once=prices.gpu.training),
            Line("Vector DB", fixed=prices.api.vector_db_per_month),
        ),
        capacity_queries(prices),
    )


def capacity_queries(prices: Prices) -> float:
    """Queries a month of one machine: tokens/s · busy seconds / tokens of a query."""
    machine = prices.capacity
    busy_s = machine.hours_per_month * SECONDS_PER_HOUR * machine.busy_share
    return machine.tokens_per_s * busy_s / prices.per_query.llm_tokens


def cheaper_from(own: Bill, other: Bill) -> float | None:
    """The number of queries a month from which `own`, within its capacity, costs less.

    None where it never does. Where `own` costs as little without a query, 0.

    fixed + per_query · q of both are equal at q = (own fixed - other fixed) / (difference a query).
    """
    saved_per_query = other.per_query - own.per_query
    more_fixed = own.fixed - other.fixed
    if more_fixed < 0:
        return 0.0
    if saved_per_query <= 0:
        return None
    volume = more_fixed / saved_per_query
    return None if own.exceeded_by(volume) else volume


def _retrieved_lines(prices: Prices) -> Iterator[Line]:
    api, tokens = prices.api, prices.per_query
    yield Line("LLM API", per_query=_each(api.llm_per_million_tokens, tokens.llm_tokens))
    yield Line("Vector DB", fixed=api.vector_db_per_month)
    each = _each(api.embedding_per_million_tokens, tokens.embedding_tokens)
    yield Line("Embeddings", per_query=each)


def _managed_inference(prices: Prices) -> Line:
    managed = prices.managed
    each = _each(managed.inference_per_million_tokens, prices.per_query.llm_tokens)
    return Line("Fine-tuned inference", per_query=each, once=managed.fine_tuned_training)


def _each(per_million: float, tokens: int) -> float:
    return per_million * tokens / 1_000_000
