"""The assumptions in `prices.toml`, or in a file of the same shape that changes some of them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from router.amounts import Span
from router.errors import AssumptionsError
from router.intents import Route

PRICES_FILE = Path(__file__).with_name("prices.toml")
MAX_NUMBER = 1e9


class Mode(StrEnum):
    """Who runs the model with the adapter."""

    SELF_HOSTED = "self_hosted"
    MANAGED = "managed"


@dataclass(frozen=True, slots=True)
class PerQuery:
    """Tokens of one query."""

    llm_tokens: int
    embedding_tokens: int


@dataclass(frozen=True, slots=True)
class Api:
    """What is bought by the token, and the vector database."""

    llm_per_million_tokens: float
    embedding_per_million_tokens: float
    vector_db_per_month: float


@dataclass(frozen=True, slots=True)
class SelfHosted:
    """A rented machine for the adapter."""

    hosting_per_month: float
    training: Span


@dataclass(frozen=True, slots=True)
class Managed:
    """A provider trains and serves."""

    inference_per_million_tokens: float
    fine_tuned_training: Span
    hybrid_training: Span


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one machine with a fine-tuned model gets done."""

    tokens_per_s: float
    busy_share: float
    hours_per_month: float


@dataclass(frozen=True, slots=True)
class Gpu:
    """One 24 GB GPU."""

    price_per_hour: float
    training: Span


@dataclass(frozen=True, slots=True)
class Work:
    """Hours of people: to build, to look after, and for each round of change."""

    build_hours: float
    maintenance_hours_per_week: float
    update_hours: float
    update_every_months: int
    training_hours: float
    training_every_months: int


@dataclass(frozen=True, slots=True)
class Ownership:
    """How long is looked ahead, what an hour costs, and the hours of each system."""

    months: int
    engineer_hour: float
    rag: Work
    fine_tuned: Work
    hybrid: Work

    def work(self, route: Route) -> Work:
        """The hours of one system."""
        return {Route.RAG: self.rag, Route.FINE_TUNED: self.fine_tuned}.get(route, self.hybrid)


@dataclass(frozen=True, slots=True)
class Prices:
    """Everything that costs are computed from, apart from the use case."""

    mode: Mode
    per_query: PerQuery
    api: Api
    self_hosted: SelfHosted
    managed: Managed
    capacity: Capacity
    gpu: Gpu
    ownership: Ownership


@cache
def default_prices() -> Prices:
    """The shipped file, in full."""
    return _prices(_shipped())


def read_prices(path: Path) -> Prices:
    """The shipped prices with a file's changes, also where an editor left a byte order mark.

    Raises:
        AssumptionsError: the file cannot be read, or says something unknown or impossible.
    """
    try:
        changes = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise AssumptionsError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # TOML and UTF-8
        raise AssumptionsError(f"{path}: not TOML: {error}") from error
    try:
        return changed_prices(changes)
    except AssumptionsError as error:
        raise AssumptionsError(f"{path}: {error}") from error


def changed_prices(changes: Mapping[str, Any]) -> Prices:
    """The shipped prices with these changes, nested as in the file.

    Raises:
        AssumptionsError: unknown names or impossible values; lists every one.
    """
    return _prices(_merged(_shipped(), changes))


def _shipped() -> dict[str, Any]:
    return tomllib.loads(PRICES_FILE.read_text(encoding="utf-8"))


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in changes.items():
        below = base.get(name)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[name] = _merged(below, value)
        else:
            merged[name] = value
    return merged


def _prices(raw: Mapping[str, Any]) -> Prices:
    problems: list[str] = []
    prices = _table(Prices, raw, "", problems)
    if problems:
        raise AssumptionsError("; ".join(problems))
    assert isinstance(prices, Prices)
    return prices


def _table(kind: type[Any], raw: object, where: str, problems: list[str]) -> Any:
    """An object of a dataclass; what is wrong is noted, and None stands in its place."""
    if not isinstance(raw, Mapping):
        problems.append(f"{where}: {raw!r} is no table")
        return None
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]
    prefix = f"{where}." if where else ""
    for name in raw:
        if name not in names:
            problems.append(f"{prefix}{name}: no such name; there are {', '.join(names)}")
    return kind(
        *(_value(hints[name], raw.get(name), f"{prefix}{name}", problems) for name in names)
    )


def _value(kind: type[Any], raw: object, where: str, problems: list[str]) -> Any:
    if kind is Span:
        return _span(raw, where, problems)
    if is_dataclass(kind):
        return _table(kind, raw, where, problems)
    if kind is Mode:
        return _mode(raw, where, problems)
    if kind is int:
        return _whole(raw, where, problems)
    return _amount(raw, where, problems)


def _mode(raw: object, where: str, problems: list[str]) -> Mode | None:
    if isinstance(raw, str) and raw in set(Mode):
        return Mode(raw)
    problems.append(f"{where}: {raw!r} is no mode; write {' or '.join(Mode)}")
    return None


def _whole(raw: object, where: str, problems: list[str]) -> int | None:
    if type(raw) is int and 1 <= raw <= MAX_NUMBER:
        return raw
    problems.append(f"{where}: {raw!r} is no whole number from 1")
    return None


def _amount(raw: object, where: str, problems: list[str]) -> float | None:
    """From 0, or above it for a machine's capacity; a share is 1 at most."""
    number = _number(raw)
    most = 1.0 if where.endswith("_share") else MAX_NUMBER
    above_zero = where.startswith("capacity.")
    if number is None or not 0 <= number <= most or (above_zero and number == 0):
        bounds = f"{'above' if above_zero else 'from'} 0 to {most:,.0f}"
        problems.append(f"{where}: {raw!r} is no number {bounds}")
    return number


def _span(raw: object, where: str, problems: list[str]) -> Span | None:
    ends = raw if isinstance(raw, list) and len(raw) == 2 else [raw, raw]
    low, high = map(_number, ends)
    if low is None or high is None or not 0 <= low <= high <= MAX_NUMBER:
        problems.append(f"{where}: {raw!r} is no amount, nor [least, most]")
        return None
    return Span(low, high)


def _number(raw: object) -> float | None:
    """None for what is no number, and for one that is beyond all use."""
    if isinstance(raw, bool) or not isinstance(raw, int | float) or abs(raw) > MAX_NUMBER:
        return None
    return float(raw)
