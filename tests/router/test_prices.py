"""The price file: the shipped one, changes of it, and what is refused."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from router.amounts import Span
from router.analysis import analyse
from router.errors import AssumptionsError
from router.prices import PRICES_FILE, Mode, changed_prices, default_prices, read_prices
from tests.router.use_cases import use_case


def test_shipped_file_changed_by_nothing_is_the_default(tmp_path: Path) -> None:
    copy = tmp_path / "prices.toml"
    copy.write_text(PRICES_FILE.read_text())
    assert read_prices(copy) == default_prices()


def test_file_changes_what_it_names_and_leaves_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('mode = "managed"\n[api]\nvector_db_per_month = 25\n')
    prices = read_prices(file)
    assert prices.mode == "managed"
    assert prices.api.vector_db_per_month == 25
    assert prices.api.llm_per_million_tokens == 2.50


def test_byte_order_mark_of_an_editor_is_let_pass(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('mode = "managed"\n', encoding="utf-8-sig")
    assert read_prices(file).mode == "managed"


def numbers(table: Mapping[str, Any], *path: str) -> list[tuple[str, ...]]:
    """The paths of all numbers in the file."""
    found = []
    for name, value in table.items():
        if isinstance(value, dict):
            found += numbers(value, *path, name)
        elif name != "mode":
            found.append((*path, name))
    return found


def nested(path: tuple[str, ...], value: float) -> dict[str, Any]:
    first, *rest = path
    return {first: nested(tuple(rest), value) if rest else value}


NUMBERS = numbers(tomllib.loads(PRICES_FILE.read_text()))


@pytest.mark.parametrize("path", NUMBERS, ids=".".join)
def test_every_number_of_the_file_has_an_effect(path: tuple[str, ...]) -> None:
    hours = dict.fromkeys(("update_hours", "training_hours"), 5.0)
    busy = {"ownership": dict.fromkeys(("rag", "fine_tuned", "hybrid"), hours)}

    def figures(mode: str, *changes: dict[str, Any]) -> dict[str, Any]:
        merged = reduce(merge, changes, {"mode": mode, **busy})
        record = analyse(use_case(), changed_prices(merged)).record()
        return {name: record[name] for name in ("comparison", "ownership")}

    change = nested(path, 0.7 if path[-1] == "busy_share" else 7)
    assert [figures(mode, change) for mode in Mode] != [figures(mode) for mode in Mode]


def merge(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = {
        name: merge(one[name], value) if isinstance(one.get(name), dict) else value
        for name, value in other.items()
    }
    return one | both


def test_one_amount_stands_for_least_and_most() -> None:
    prices = changed_prices({"managed": {"hybrid_training": 80}})
    assert prices.managed.hybrid_training == Span(80, 80)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mode": "rented"}, "mode: 'rented' is no mode; write self_hosted or managed"),
        ({"mode": ["managed"]}, "mode: ['managed'] is no mode"),
        ({"api": {"llm": 2}}, "api.llm: no such name; there are llm_per_million_tokens"),
        ({"rent": 3}, "rent: no such name"),
        ({"api": 3}, "api: 3 is no table"),
        ({"api": {"vector_db_per_month": -1}}, "api.vector_db_per_month: -1 is no number"),
        ({"api": {"vector_db_per_month": True}}, "True is no number"),
        ({"api": {"vector_db_per_month": float("nan")}}, "nan is no number"),
        ({"api": {"vector_db_per_month": 10**400}}, "is no number"),
        ({"api": {"vector_db_per_month": "70"}}, "'70' is no number"),
        ({"per_query": {"llm_tokens": 0}}, "per_query.llm_tokens: 0 is no whole number from 1"),
        ({"per_query": {"llm_tokens": 1.5}}, "1.5 is no whole number"),
        ({"capacity": {"tokens_per_s": 0}}, "capacity.tokens_per_s: 0 is no number above 0"),
        ({"capacity": {"busy_share": 1.1}}, "1.1 is no number above 0 to 1"),
        ({"managed": {"hybrid_training": [200, 50]}}, "[200, 50] is no amount, nor [least, most]"),
        ({"managed": {"hybrid_training": [1, 2, 3]}}, "is no amount"),
        ({"ownership": {"rag": {"update_every_months": 0}}}, "ownership.rag.update_every_months"),
    ],
)
def test_impossible_change_is_refused_with_what_is_allowed(
    changes: dict[str, object], said: str
) -> None:
    with pytest.raises(AssumptionsError) as caught:
        changed_prices(changes)
    assert said in str(caught.value)


def test_every_problem_of_a_file_is_named_at_once(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('mode = "x"\n[api]\nvector_db_per_month = -1\n')
    with pytest.raises(AssumptionsError) as caught:
        read_prices(file)
    assert all(part in str(caught.value) for part in ("mine.toml", "mode", "vector_db_per_month"))


def test_file_that_is_missing_or_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssumptionsError, match="cannot be read: No such file"):
        read_prices(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("mode = ")
    with pytest.raises(AssumptionsError, match="not TOML"):
        read_prices(tmp_path / "bad.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(AssumptionsError, match="not TOML"):
        read_prices(tmp_path / "binary.toml")
