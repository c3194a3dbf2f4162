"""The paired test: exact values by hand, others held against SciPy's exact permutation test."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest
from numpy.typing import NDArray

from eval.intervals import bootstrap_mean
from eval.paired import PERMUTATIONS, paired_test

STANDARD_ERROR = 0.005  # of p = 0.5 from 10,000 permutations


def differences(*values: float) -> NDArray[np.float64]:
    return np.array(values)


@pytest.mark.parametrize(
    ("values", "p"),
    [
        ((0.3,), 1.0),  # both signs are as far
        ((0.1, 0.1, 0.1), 2 / 8),  # all of one sign: 2 of the 8 choices
        ((-0.1, -0.2, -0.3, -0.4), 2 / 16),
        ((0.3, 0.2, -0.1), 4 / 8),  # +++ and ++-, and their opposites
        ((0.1, -0.1, 0.0, 0.0), 1.0),
        ((0.1, 0.1, 0.1, 0.0, 0.0), 2 / 8),  # equal queries don't matter
    ],
)
def test_p_is_the_share_of_signs_that_are_as_far(values: tuple[float, ...], p: float) -> None:
    found = paired_test([differences(*values)])

    assert found.p == pytest.approx(p, abs=4 * STANDARD_ERROR)
    assert found.difference.value == pytest.approx(fmean(values))


@pytest.mark.parametrize("seed", range(3))
def test_p_is_that_of_scipys_exact_test(seed: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(seed).normal(0.2, 0.4, size=11)
    exact = stats.permutation_test(
        (values, np.zeros(11)),
        lambda first, second: np.mean(first - second),
        permutation_type="samples",
        n_resamples=np.inf,
    )

    assert paired_test([values]).p == pytest.approx(exact.pvalue, abs=4 * STANDARD_ERROR)


def test_clear_gain_has_the_smallest_p() -> None:
    assert paired_test([np.full(100, 0.1)]).p == 1 / (1 + PERMUTATIONS)


def test_swapping_the_systems_keeps_p_and_turns_the_difference() -> None:
    values = np.random.default_rng(5).normal(0.1, 0.3, size=40)
    there, back = paired_test([values]), paired_test([-values])

    assert there.p == back.p
    assert there.difference.value == -back.difference.value
    assert there.difference.low == pytest.approx(-back.difference.high)


def test_p_repeats() -> None:
    values = np.random.default_rng(6).normal(0.1, 0.3, size=40)

    assert paired_test([values]) == paired_test([values])


def test_p_is_true_to_its_level_where_there_is_no_difference() -> None:
    rng = np.random.default_rng(7)
    found = [paired_test([rng.normal(0, 1, size=20)]).p for _ in range(60)]

    assert 0.3 < fmean(found) < 0.7  # uniform in [0, 1]: its mean is 0.5 ± 0.037


def test_several_sets_count_alike_whatever_their_size() -> None:
    small, large = np.full(3, 0.3), np.full(300, 0.1)
    found = paired_test([small, large])

    assert found.difference.value == pytest.approx(0.2)
    assert found.difference.n == 303


def test_mean_of_several_groups_has_the_interval_of_their_means() -> None:
    rng = np.random.default_rng(8)
    groups = [rng.normal(0.4, 0.1, size=200), rng.normal(0.6, 0.2, size=50)]
    found = bootstrap_mean(groups)
    # Standard error of the mean of two independent means.
    error = np.sqrt(sum(group.var() / len(group) for group in groups)) / 2

    assert found.value == pytest.approx((groups[0].mean() + groups[1].mean()) / 2)
    assert found.low == pytest.approx(found.value - 1.96 * error, abs=0.002)
    assert found.high == pytest.approx(found.value + 1.96 * error, abs=0.002)


def test_mean_of_one_group_agrees_with_the_bootstrap_of_items() -> None:
    from eval.intervals import bootstrap

    values = np.random.default_rng(9).uniform(size=60)
    mean, items = bootstrap_mean([values]), bootstrap(list(values), fmean)

    assert (mean.low, mean.high) == pytest.approx((items.low, items.high))
    assert (mean.n, items.n) == (60, 60)
