"""Intervals, held against an independent computation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean

import pytest

from eval.intervals import Z_95, Estimate, bootstrap, proportion


def test_z_is_the_normal_quantile() -> None:
    assert pytest.approx(NormalDist().inv_cdf(0.975)) == Z_95


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (1, 7), (5, 10), (50, 120), (9, 9)])
def test_wilson_interval_solves_its_equation(hits: int, n: int) -> None:
    # The bounds are the shares p at which |hits/n - p| is z standard errors of p (Wilson 1927).
    found = proportion(hits, n)

    assert found.value == hits / n
    for bound in (found.low, found.high):
        if 0 < bound < 1:
            error = math.sqrt(bound * (1 - bound) / n)
            assert abs(hits / n - bound) == pytest.approx(Z_95 * error)


def test_wilson_interval_of_published_example() -> None:
    # Newcombe (1998), Table I: 81 of 263 gives 0.2553 to 0.3662.
    found = proportion(81, 263)

    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (5, 5)])
def test_extreme_share_has_a_bound_there_and_a_width(hits: int, n: int) -> None:
    found = proportion(hits, n)

    assert found.low <= found.value <= found.high
    assert found.high - found.low > 0.3
    assert found.low >= 0
    assert found.high <= 1


def test_more_observations_narrow_the_interval() -> None:
    widths = [proportion(n // 2, n).high - proportion(n // 2, n).low for n in (10, 100, 1000)]

    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize(("hits", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused_with_both_values(hits: int, n: int) -> None:
    with pytest.raises(ValueError, match=rf"hits={hits}, n={n}"):
        proportion(hits, n)


def test_bootstrap_holds_the_statistic_of_all_items_and_repeats() -> None:
    items = [0.0, 0.2, 0.4, 0.9, 1.0, 1.0, 0.3, 0.5]
    found = bootstrap(items, fmean)

    assert found.value == pytest.approx(fmean(items))
    assert found.low < found.value < found.high
    assert found.n == 8
    assert bootstrap(items, fmean) == found


def test_bootstrap_of_shares_agrees_with_wilson() -> None:
    items = [1.0] * 60 + [0.0] * 40
    found, expected = bootstrap(items, fmean), proportion(60, 100)

    assert found.low == pytest.approx(expected.low, abs=0.02)
    assert found.high == pytest.approx(expected.high, abs=0.02)


def test_bootstrap_of_equal_items_has_no_width() -> None:
    assert bootstrap([0.5] * 4, fmean) == Estimate(0.5, 0.5, 0.5, 4)


def test_bootstrap_draws_from_the_items_alone() -> None:
    seen: set[int] = set()

    def remember(items: Sequence[int]) -> float:
        seen.update(items)
        assert len(items) == 3
        return 0.0

    bootstrap([1, 2, 3], remember)

    assert seen == {1, 2, 3}
