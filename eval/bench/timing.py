"""Times of many runs -> their percentiles."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds that half, 95 % and 99 % of n runs stayed within."""

    n: int
    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, times_ms: Sequence[float]) -> Percentiles:
        """Linear between the two nearest runs.

        >>> Percentiles.of([1, 2, 3, 4, 5])
        Percentiles(n=5, p50=3.0, p95=4.8, p99=4.96)
        """
        p50, p95, p99 = (round(float(v), 6) for v in np.percentile(times_ms, (50, 95, 99)))
        return cls(len(times_ms), p50, p95, p99)

    def record(self) -> dict[str, Any]:
        """For a result file."""
        return asdict(self)


class Stopwatch:
    """Collects times by name; what is measured side by side has the same place in each list."""

    def __init__(self) -> None:
        self.times_ms: dict[str, list[float]] = {}

    def time(self, name: str, run: Callable[[], Result]) -> Result:
        """Run it once and note how long it took."""
        started = time.perf_counter()
        result = run()
        self.add(name, (time.perf_counter() - started) * 1000)
        return result

    def add(self, name: str, time_ms: float) -> None:
        """Note what was measured elsewhere."""
        self.times_ms.setdefault(name, []).append(time_ms)

    def percentiles(self) -> Mapping[str, Percentiles]:
        """Of each name."""
        return {name: Percentiles.of(times) for name, times in self.times_ms.items()}
