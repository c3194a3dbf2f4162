"""Amounts of money, times and counts, as the report writes them."""

from __future__ import annotations

import math
from dataclasses import dataclass

CENTS_BELOW = 10.0  # dollars; smaller amounts keep their cents


@dataclass(frozen=True, slots=True)
class Span:
    """From the least to the most that something may come to."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        """Half-way."""
        return (self.low + self.high) / 2

    def __add__(self, other: Span) -> Span:
        return Span(self.low + other.low, self.high + other.high)


def dollars(amount: float) -> str:
    """Whole dollars; amounts under ten keep their cents.

    >>> dollars(570.2), dollars(0.2), dollars(12000), dollars(0.001)
    ('$570', '$0.20', '$12,000', 'under $0.01')
    """
    if 0 < amount < 0.005:
        return "under $0.01"
    cents = round(amount, 2) < CENTS_BELOW
    return f"${amount:,.2f}" if cents else f"${math.floor(amount + 0.5):,}"


def dollar_span(span: Span) -> str:
    """One amount, or the two that it lies between.

    >>> dollar_span(Span(50, 200)), dollar_span(Span(150, 150))
    ('$50–$200', '$150')
    """
    low, high = dollars(span.low), dollars(span.high)
    return low if low == high else f"{low}–{high}"


def thousands(amount: float) -> str:
    """Thousands of dollars.

    >>> thousands(85028), thousands(4600), thousands(8000), thousands(0)
    ('$85K', '$4.6K', '$8K', '$0')
    """
    value = amount / 1000
    if round(value, 1) == 0:
        return dollars(amount) if amount else "$0"
    text = f"{value:.1f}".removesuffix(".0") if value < 9.95 else f"{math.floor(value + 0.5):,}"
    return f"${text}K"


def milliseconds(time_ms: float) -> str:
    """In the unit that people would say it in.

    >>> milliseconds(50), milliseconds(99.9), milliseconds(1500), milliseconds(120_000)
    ('50 ms', '99.9 ms', '1.5 s', '2 min')
    """
    if math.isinf(time_ms):
        return "no limit"
    for unit, size in (("h", 3_600_000.0), ("min", 60_000.0), ("s", 1000.0)):
        if time_ms >= size:
            return f"{time_ms / size:.4g} {unit}"
    return f"{time_ms:.4g} ms"


def examples(number: int) -> str:
    """A number of examples.

    >>> examples(1), examples(1000)
    ('1 example', '1,000 examples')
    """
    return f"{number:,} example{'' if number == 1 else 's'}"


def queries(number: float) -> str:
    """A number of queries, rounded up.

    >>> queries(175_059.95)
    '175,060'
    """
    return f"{math.ceil(number - 1e-9):,}"
