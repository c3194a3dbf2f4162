"""How long each stage of an answer took."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class Clock:
    """Collects milliseconds by stage; a stage entered twice adds up."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.timings_ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside, also when it raises."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add({name: (time.perf_counter() - started) * 1000})

    def add(self, timings_ms: Mapping[str, float]) -> None:
        """Stages that somebody else timed."""
        for name, elapsed_ms in timings_ms.items():
            self.timings_ms[name] = self.timings_ms.get(name, 0.0) + elapsed_ms

    def mark(self, name: str) -> None:
        """Milliseconds since the question came, kept from the first call for a name."""
        self.timings_ms.setdefault(name, (time.perf_counter() - self._started) * 1000)

    def marked(self, name: str) -> bool:
        """Whether the mark was set."""
        return name in self.timings_ms

    def stop(self) -> dict[str, float]:
        """All stages so far, with the total."""
        return {**self.timings_ms, "total": (time.perf_counter() - self._started) * 1000}
