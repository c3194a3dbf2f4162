"""The latency budget, and the measured one that takes its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from router.amounts import Span
from router.errors import AssumptionsError
from router.latency_budget import ASSUMED, measured_budget, read_result


def times(p50: float, p95: float) -> dict[str, float]:
    return {"n": 200, "p50": p50, "p95": p95, "p99": p95}


def size(passages: int, scale: float, **more: Any) -> dict[str, Any]:
    stages = {"embed": times(2 * scale, 4 * scale), "search": times(5 * scale, 8 * scale), **more}
    return {"passages": passages, "stages_ms": stages}


def test_budget_divides_into_finding_and_writing() -> None:
    assert (ASSUMED.retrieval_ms, ASSUMED.generation_ms) == (Span(35, 120), Span(500, 2000))


def test_measured_figures_of_the_largest_size_replace_the_assumed_ones(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    file.write_text(json.dumps({"sizes": [size(100_000, 2), size(1000, 1)], "bars": []}))

    budget = read_result(file)

    assert [(step.name, step.time_ms) for step in budget.steps] == [
        ("embed", Span(4, 8)),
        ("search and fetch", Span(10, 16)),
        ("generate", Span(500, 2000)),
    ]
    assert [step.source for step in budget.steps] == [
        "measured, 100,000 passages",
        "measured, 100,000 passages",
        "assumed",
    ]
    assert budget.total_ms == Span(514, 2024)


def test_reranking_counts_where_it_was_measured() -> None:
    budget = measured_budget({"sizes": [size(1000, 1, rerank=times(150, 300))]})
    assert [step.name for step in budget.steps] == [
        "embed",
        "search and fetch",
        "rerank",
        "generate",
    ]


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ([], "has no `sizes`"),
        ({}, "has no `sizes`"),
        ({"sizes": []}, "has no `sizes`"),
        ({"sizes": [3]}, "no number of `passages`"),
        ({"sizes": [{"passages": True}]}, "no number of `passages`"),
        ({"sizes": [{"passages": 10}]}, "no `stages_ms`"),
        ({"sizes": [{"passages": 10, "stages_ms": {}}]}, "'embed' has no `p50`"),
        ({"sizes": [size(10, -1)]}, "'embed' has no `p50`"),
        ({"sizes": [size(10, 1, search=times(8, 5))]}, "'search' has no `p50`"),
        ({"sizes": [size(10, 1, search={"p50": "5", "p95": 8})]}, "'search' has no `p50`"),
        ({"sizes": [size(10, 1, rerank=[1, 2])]}, "'rerank' has no `p50`"),
        ({"sizes": [size(10, 1, embed=times(float("nan"), 2))]}, "'embed' has no `p50`"),
        ({"sizes": [size(10, 1, embed=times(1, float("inf")))]}, "'embed' has no `p50`"),
    ],
)
def test_what_is_no_result_is_refused_with_the_command_that_writes_one(
    result: object, said: str
) -> None:
    with pytest.raises(AssumptionsError, match="twofold bench retrieval") as caught:
        measured_budget(result)
    assert said in str(caught.value)


def test_file_that_is_missing_or_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssumptionsError, match=r"none\.json: cannot be read"):
        read_result(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(AssumptionsError, match=r"bad\.json: not JSON"):
        read_result(tmp_path / "bad.json")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(AssumptionsError, match="not JSON"):
        read_result(tmp_path / "deep.json")
