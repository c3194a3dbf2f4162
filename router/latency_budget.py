"""Where the time of a retrieved answer goes, assumed or measured here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from router.amounts import Span
from router.errors import AssumptionsError

REMEDIES = (
    "prefetch: retrieve and answer while the question is being typed",
    "semantic cache: a question like an earlier one gets the earlier answer",
    "precomputed answers: write the frequent ones ahead, and send them as they stand",
)


@dataclass(frozen=True, slots=True)
class Step:
    """A stage of an answer and the milliseconds it takes; `source` says where they come from."""

    name: str
    time_ms: Span
    source: str = "assumed"


@dataclass(frozen=True, slots=True)
class Budget:
    """The steps of a retrieved answer, in their order."""

    steps: tuple[Step, ...]

    @property
    def total_ms(self) -> Span:
        """All steps, one after the other."""
        return sum((step.time_ms for step in self.steps), Span(0.0, 0.0))

    @property
    def generation_ms(self) -> Span:
        """The last step, which is there without retrieval too."""
        return self.steps[-1].time_ms

    @property
    def retrieval_ms(self) -> Span:
        """All before the last."""
        return sum((step.time_ms for step in self.steps[:-1]), Span(0.0, 0.0))

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "steps": [asdict(step) for step in self.steps],
            "total_ms": asdict(self.total_ms),
        }


MAX_STEP_MS = 3_600_000.0  # an hour; beyond, no stage of a search was measured
GENERATE = Step("generate", Span(500.0, 2000.0))
ASSUMED = Budget(
    (
        Step("embed", Span(20.0, 50.0)),
        Step("search", Span(10.0, 50.0)),
        Step("fetch", Span(5.0, 20.0)),
        GENERATE,
    )
)
MEASURED = {"embed": "embed", "search": "search and fetch"}  # stage of the file -> our step


def read_result(path: Path) -> Budget:
    """The budget with the figures of `twofold bench retrieval --json FILE`.

    Raises:
        AssumptionsError: the file cannot be read or is no such result.
    """
    try:
        read = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise AssumptionsError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise AssumptionsError(f"{path}: not JSON: {error}") from error
    try:
        return measured_budget(read)
    except AssumptionsError as error:
        raise AssumptionsError(f"{path}: {error}") from error


def measured_budget(result: object) -> Budget:
    """Medians and 95th percentiles of the largest index measured; generation stays assumed.

    Finding and fetching are one request of our engine, so they share one step. Reranking counts
    where it was measured.

    Raises:
        AssumptionsError: not a result of the retrieval benchmark.
    """
    sizes = result.get("sizes") if isinstance(result, Mapping) else None
    if not isinstance(sizes, list) or not sizes:
        raise _unlike("it has no `sizes`")
    largest = max(sizes, key=_passages)
    stages = largest.get("stages_ms")
    if not isinstance(stages, Mapping):
        raise _unlike("its largest size has no `stages_ms`")
    wanted = MEASURED | ({"rerank": "rerank"} if "rerank" in stages else {})
    source = f"measured, {_passages(largest):,} passages"
    steps = [Step(name, _span(stages, stage), source) for stage, name in wanted.items()]
    return Budget((*steps, GENERATE))


def _passages(size: object) -> int:
    passages = size.get("passages") if isinstance(size, Mapping) else None
    if type(passages) is not int or passages < 1:
        raise _unlike("a size has no number of `passages`")
    return passages


def _span(stages: Mapping[str, Any], stage: str) -> Span:
    times = stages.get(stage)
    if isinstance(times, Mapping):
        low, high = _time_ms(times.get("p50")), _time_ms(times.get("p95"))
        if low is not None and high is not None and low <= high:
            return Span(low, high)
    raise _unlike(f"its stage {stage!r} has no `p50` and `p95` in milliseconds")


def _time_ms(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= MAX_STEP_MS else None


def _unlike(what: str) -> AssumptionsError:
    return AssumptionsError(
        f"no result of the retrieval benchmark: {what}; "
        "`twofold bench retrieval --passages N --json FILE` writes one"
    )
