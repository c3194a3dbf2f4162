"""What holds for every use case."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.analysis import SYSTEMS, analyse
from router.costs import bill
from router.flow import flow_of
from router.intents import Route
from router.latency_budget import ASSUMED
from router.prices import Mode, default_prices
from router.recommendation import decide, recommend
from router.sensitivity import alternatives, turns
from router.use_case import Change, Level, UseCase
from router.values import Limit

OFTEN = [0, 1 / 24, 1, 2, 7, 14, 30, 31]  # days; most of what people say is below a month
PERIODS = st.one_of(st.sampled_from(OFTEN), st.floats(0, 800), st.just(math.inf))
COUNTS = st.one_of(st.integers(0, 2000), st.sampled_from([0, 99, 100, 499, 500, 1000, 1001]))
CASES = st.builds(
    UseCase,
    knowledge_changes=st.builds(Change, words=st.just("so often"), days=PERIODS),
    needs_citations=st.booleans(),
    style_requirements=st.sampled_from(Level),
    training_data=COUNTS,
    latency=st.builds(Limit, st.floats(1, 5000), st.booleans()),
    monthly_queries=st.integers(1, 10**9),
    data_must_not_enter_weights=st.booleans(),
    no_external_data_access=st.booleans(),
    readiness=st.none(),
)
TRAINABLE = CASES.map(  # whether these are looked up depends on the period alone
    lambda case: replace(
        case,
        needs_citations=False,
        data_must_not_enter_weights=False,
        style_requirements=Level.HIGH,
        training_data=500,
    )
)
MODES = st.sampled_from(Mode)
steadily = settings(deadline=None, derandomize=True, database=None, max_examples=100)


@steadily
@given(st.one_of(CASES, TRAINABLE), PERIODS)
def test_more_change_never_moves_away_from_rag(case: UseCase, days: float) -> None:
    slow, often = sorted((days, case.knowledge_changes.days), reverse=True)
    slower = replace(case, knowledge_changes=Change("slower", slow))
    oftener = replace(case, knowledge_changes=Change("oftener", often))
    assert recommend(oftener).retrieves >= recommend(slower).retrieves


@steadily
@given(CASES, COUNTS)
def test_more_examples_never_move_away_from_fine_tuning(case: UseCase, count: int) -> None:
    few, many = sorted((count, case.training_data))
    fewer, more = replace(case, training_data=few), replace(case, training_data=many)
    assert recommend(more).trains >= recommend(fewer).trains


@steadily
@given(MODES, st.sampled_from(list(SYSTEMS)), st.integers(0, 10**9), st.integers(0, 10**9))
def test_cost_is_linear_in_queries(mode: Mode, route: Route, one: int, other: int) -> None:
    each = bill(route, replace(default_prices(), mode=mode))
    fixed = each.monthly(0)
    together = each.monthly(one + other) - fixed
    apart = (each.monthly(one) - fixed) + (each.monthly(other) - fixed)
    assert together == pytest.approx(apart, rel=1e-9, abs=1e-6)


@steadily
@given(CASES)
def test_flow_chart_leads_where_the_rules_do(case: UseCase) -> None:
    assert flow_of(case).recommendation is recommend(case)


@steadily
@given(CASES)
def test_conflicts_change_no_recommendation_and_always_offer_a_way(case: UseCase) -> None:
    decision = decide(case, ASSUMED)
    assert decision.recommendation is recommend(case)
    assert all(conflict.possible_with for conflict in decision.conflicts)


@steadily
@given(CASES)
def test_every_turn_differs_and_every_other_alternative_does_not(case: UseCase) -> None:
    found = {turn.answer: turn for turn in turns(case, ASSUMED)}
    for other in alternatives(case):
        moved = recommend(other.case) is not recommend(case)
        if moved:
            assert found[other.answer].recommendation is recommend(other.case)
        elif other.answer in found:
            assert found[other.answer].resolves


@steadily
@given(CASES, MODES)
def test_analysis_is_whole_for_every_case(case: UseCase, mode: Mode) -> None:
    analysis = analyse(case, replace(default_prices(), mode=mode))
    record = analysis.record()
    assert record["costs"]["monthly"] == pytest.approx(
        sum(line["monthly"] for line in record["costs"]["lines"])
    )
    assert record["costs"] == record["comparison"][analysis.decision.recommendation.route]
