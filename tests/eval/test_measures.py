"""The three measures on rankings whose values are worked out by hand."""

from __future__ import annotations

import math
import sys

import pytest

from eval.errors import EvaluationError
from eval.measures import MEASURES, score


def values(ranking: list[str], grades: dict[str, int]) -> list[float]:
    scores = score({"q": ranking}, {"q": grades})
    return [float(scores[name][0]) for name in MEASURES]


def others(count: int) -> list[str]:
    return [f"other {number}" for number in range(count)]


@pytest.mark.parametrize("rank", [1, 2, 3, 10])
def test_one_relevant_document_counts_by_its_rank(rank: int) -> None:
    ranking = [*others(rank - 1), "right", *others(30)[rank:]]

    assert values(ranking, {"right": 1}) == pytest.approx([1 / math.log2(rank + 1), 1, 1 / rank])


@pytest.mark.parametrize(("rank", "recall"), [(11, 1.0), (20, 1.0), (21, 0.0)])
def test_measures_end_at_their_ranks(rank: int, recall: float) -> None:
    assert values([*others(rank - 1), "right"], {"right": 1}) == [0, recall, 0]


def test_grades_weigh_in_ndcg_alone() -> None:
    # Found: grade 1 first, grade 2 third. DCG 1/log2(2) + 2/log2(4) = 2.
    # Ideal: 2, 1, 1. 2/log2(2) + 1/log2(3) + 1/log2(4) = 2.5 + 0.6309...
    found = values(["a", "x", "b"], {"a": 1, "b": 2, "c": 1, "x": 0})

    assert found == pytest.approx([2 / (2.5 + 1 / math.log2(3)), 2 / 3, 1])


def test_query_without_results_scores_zero() -> None:
    grades = {name: {"a": 1} for name in ("found", "nothing", "unknown")}
    scores = score({"found": ["a"], "nothing": []}, grades)

    for name in MEASURES:
        assert scores[name].tolist() == [1, 0, 0]


def test_values_stand_in_the_order_of_the_grades_whatever_the_rankings() -> None:
    grades = {"z": {"a": 1}, "a": {"b": 1}, "m": {"c": 1}}
    scores = score({"m": ["x", "c"], "z": ["a"], "unasked": ["a"]}, grades)

    assert scores["MRR@10"].tolist() == [1, 0, 0.5]


def test_order_is_that_of_the_list_not_of_the_names() -> None:
    names = ["b", "c", "a", "d"]
    for place, name in enumerate(names, start=1):
        assert values(names, {name: 1})[2] == 1 / place


def test_missing_package_is_told_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_measures", None)

    with pytest.raises(EvaluationError, match=r"pip install 'twofold\[evaluate\]'"):
        score({}, {})
