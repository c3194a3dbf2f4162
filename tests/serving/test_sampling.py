"""The next token by each row's own temperature, top_p and seed."""

from __future__ import annotations

import pytest
import torch

from serving.answers import Sampling
from serving.sampling import Sampler, pick

LOGITS = torch.tensor([1.0, 3.0, 2.0, -50.0])


def drawn(count: int = 300, **sampling: float) -> set[int]:
    sampler = Sampler(Sampling(seed=1, **sampling))  # type: ignore[arg-type]
    return {sampler.draw(LOGITS.double()) for _ in range(count)}


def test_temperature_zero_takes_the_best_of_each_row() -> None:
    rows = torch.stack([LOGITS, LOGITS.flip(0)])

    assert pick(rows, [Sampler(Sampling()), Sampler(Sampling())]) == [1, 2]


def test_temperature_reaches_every_likely_token() -> None:
    assert drawn(temperature=1.0) == {0, 1, 2}


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.0, {1}), (0.5, {1}), (0.7, {1, 2}), (1.0, {0, 1, 2})]
)
def test_top_p_keeps_the_fewest_that_reach_it(top_p: float, kept: set[int]) -> None:
    assert drawn(temperature=1.0, top_p=top_p) == kept  # probabilities .09, .67, .24, 0


def test_shares_follow_the_softmax() -> None:
    sampler = Sampler(Sampling(temperature=2.0, seed=5))
    tokens = [sampler.draw(LOGITS.double()) for _ in range(3000)]
    expected = (LOGITS / 2).softmax(dim=0)

    for token in range(4):
        assert tokens.count(token) / 3000 == pytest.approx(expected[token].item(), abs=0.03)


@pytest.mark.parametrize("temperature", [1e-4, 1e-3])
def test_low_temperature_does_not_overflow(temperature: float) -> None:
    assert drawn(20, temperature=temperature) == {1}


def test_draws_do_not_depend_on_the_rows_beside() -> None:
    def tokens(beside: int) -> list[int | None]:
        own = Sampler(Sampling(temperature=1.0, seed=3))
        others = [Sampler(Sampling(temperature=1.0)) for _ in range(beside)]
        rows = LOGITS.repeat(beside + 1, 1)
        return [pick(rows, [own, *others])[0] for _ in range(20)]

    assert tokens(0) == tokens(3)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_row_without_numbers_has_no_token(bad: float, temperature: float) -> None:
    rows = torch.stack([LOGITS, torch.tensor([0.0, bad, 0.0, 0.0])])

    assert pick(rows, [Sampler(Sampling(temperature=temperature)) for _ in rows])[1] is None


def test_token_that_the_model_rules_out_is_no_failure() -> None:
    assert pick(torch.tensor([[0.0, float("-inf")]]), [Sampler(Sampling())]) == [0]
