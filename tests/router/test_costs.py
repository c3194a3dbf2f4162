"""Bills by hand: modes, capacity, and where a GPU of one's own pays."""

from __future__ import annotations

import pytest

from router.amounts import Span
from router.costs import Bill, Line, bill, capacity_queries, cheaper_from, gpu_bill
from router.intents import Route
from router.ownership import owned
from router.prices import changed_prices, default_prices


def names(route: Route, mode: str) -> list[str]:
    return [line.name for line in bill(route, changed_prices({"mode": mode})).lines]


def test_rag_alone_is_the_same_in_both_modes() -> None:
    for mode in ("self_hosted", "managed"):
        assert names(Route.RAG, mode) == ["LLM API", "Vector DB", "Embeddings"]


def test_fine_tuned_alone_has_no_api_line_where_you_host_it() -> None:
    assert names(Route.FINE_TUNED, "self_hosted") == ["LoRA hosting"]
    assert names(Route.FINE_TUNED, "managed") == ["Fine-tuned inference"]


def test_hybrid_adds_hosting_or_only_a_training() -> None:
    assert names(Route.HYBRID, "self_hosted")[-1] == "LoRA hosting"
    assert names(Route.HYBRID, "managed")[-1] == "LoRA training"


def test_capacity_is_tokens_a_second_over_the_busy_month() -> None:
    # 180 tokens/s · 730 h · 3600 s · 0.5 / 1000 tokens a query
    assert capacity_queries(default_prices()) == pytest.approx(236_520)


@pytest.mark.parametrize(("queries", "exceeded"), [(236_520, False), (236_521, True)])
def test_fine_tuned_alone_states_when_the_volume_exceeds_it(queries: int, exceeded: bool) -> None:
    assert bill(Route.FINE_TUNED, default_prices()).exceeded_by(queries) is exceeded
    assert not bill(Route.HYBRID, default_prices()).exceeded_by(queries)
    assert not bill(Route.FINE_TUNED, changed_prices({"mode": "managed"})).exceeded_by(queries)


def test_gpu_costs_its_hours_and_the_vector_database() -> None:
    gpu = gpu_bill(default_prices())
    assert gpu.monthly(1) == gpu.monthly(200_000) == pytest.approx(0.60 * 730 + 70)
    assert gpu.once == Span(150, 150)


def test_gpu_is_cheaper_where_the_bills_cross() -> None:
    gpu, rag = gpu_bill(default_prices()), bill(Route.RAG, default_prices())
    volume = cheaper_from(gpu, rag)
    assert volume is not None
    assert volume == pytest.approx(438 / 0.002502)
    assert gpu.monthly(volume) == pytest.approx(rag.monthly(volume))


@pytest.mark.parametrize(
    ("own", "other", "volume"),
    [
        (Bill((Line("a", fixed=100),)), Bill((Line("b", per_query=1),)), 100.0),
        (Bill((Line("a", fixed=100),), capacity=99), Bill((Line("b", per_query=1),)), None),
        (Bill((Line("a", fixed=100),)), Bill((Line("b", fixed=50),)), None),
        (Bill((Line("a", fixed=50),)), Bill((Line("b", fixed=100),)), 0.0),
        (Bill((Line("a", fixed=100, per_query=1),)), Bill((Line("b", per_query=3),)), 50.0),
        (Bill((Line("a", fixed=50, per_query=2),)), Bill((Line("b", per_query=1),)), None),
    ],
)
def test_volume_from_which_one_is_cheaper(own: Bill, other: Bill, volume: float | None) -> None:
    assert cheaper_from(own, other) == volume


def test_ownership_by_hand() -> None:
    hours = {
        "build_hours": 10,
        "maintenance_hours_per_week": 1,
        "update_hours": 2,
        "update_every_months": 2,
        "training_hours": 3,
        "training_every_months": 4,
    }
    prices = changed_prices({"ownership": {"months": 12, "engineer_hour": 10, "hybrid": hours}})
    cost = Bill((Line("a", fixed=5, per_query=0.01, once=Span(20, 40)),))

    result = owned(Route.HYBRID, cost, 1000, prices)

    assert result.initial_build == 10 * 10 + 30
    assert result.api_and_compute == pytest.approx(12 * (5 + 10))
    assert result.maintenance == pytest.approx(52 * 10)
    assert result.iteration == 5 * 2 * 10 + 2 * (3 * 10 + 30)  # 11 months later: 5 and 2 rounds
