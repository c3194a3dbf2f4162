"""Every published figure, reproduced from the shipped assumptions; each test names its own."""

from __future__ import annotations

import pytest

from router.amounts import Span, dollars, thousands
from router.analysis import Analysis, analyse
from router.data_preparation import TASKS, schedule, total_weeks
from router.intents import Route
from router.latency_budget import ASSUMED
from router.prices import changed_prices, default_prices
from router.report import panel_lines
from tests.router.use_cases import use_case

PANEL = """\
RECOMMENDATION: Hybrid (RAG + LoRA Fine-tuning)

Reasoning:
- Knowledge changes weekly → RAG for dynamic content
- Citations required → RAG provides source attribution
- High style requirements → Fine-tune for consistent voice
- 200 examples sufficient for LoRA

Estimated Monthly Cost: $570
- LLM API: $250
- Vector DB: $70
- Embeddings: $0.20
- LoRA hosting: $250 (one-time: $150)"""


@pytest.fixture(scope="module")
def a_million_managed() -> Analysis:
    return analyse(use_case(monthly_queries="1,000,000"), changed_prices({"mode": "managed"}))


def test_panel_of_100000_queries_is_the_published_one() -> None:
    assert "\n".join(panel_lines(analyse(use_case(), default_prices()))) == PANEL


def test_hybrid_of_100000_queries_costs_570_20_and_not_2850() -> None:
    monthly = analyse(use_case(), default_prices()).bill.monthly(100_000)
    assert monthly == pytest.approx(570.20)


def test_rag_alone_at_a_million_queries_costs_2572(a_million_managed: Analysis) -> None:
    bill = a_million_managed.bills[Route.RAG]
    assert bill.monthly(1_000_000) == pytest.approx(2572)
    assert bill.once == Span(0, 0)


def test_fine_tuned_alone_at_a_million_queries_costs_12000_and_250_once(
    a_million_managed: Analysis,
) -> None:
    bill = a_million_managed.bills[Route.FINE_TUNED]
    assert bill.monthly(1_000_000) == pytest.approx(12_000)
    assert bill.once == Span(250, 250)


def test_hybrid_at_a_million_queries_costs_2572_and_50_to_200_once(
    a_million_managed: Analysis,
) -> None:
    bill = a_million_managed.bills[Route.HYBRID]
    assert bill.monthly(1_000_000) == pytest.approx(2572)
    assert bill.once == Span(50, 200)


@pytest.mark.parametrize(
    ("route", "total"),
    [(Route.RAG, "$85K"), (Route.FINE_TUNED, "$460K"), (Route.HYBRID, "$107K")],
)
def test_two_years_of_a_million_queries_cost_85k_460k_and_107k(
    a_million_managed: Analysis, route: Route, total: str
) -> None:
    owned = a_million_managed.owned[route]
    assert thousands(owned.total) == total
    assert owned.total == pytest.approx(sum(owned.parts))
    assert a_million_managed.prices.ownership.months == 24


def test_data_preparation_takes_7_to_12_weeks_and_not_8_to_14() -> None:
    assert total_weeks() == Span(7, 12)
    assert {task.name: (task.weeks.low, task.weeks.high) for task in TASKS} == {
        "Collection": (1, 2),
        "Filtering": (1, 3),
        "Format": (1, 1),
        "Edge cases": (1, 1),
        "Validation set": (1, 1),
        "Annotation": (2, 4),
    }
    assert [each.start for each in schedule()][:3] == [Span(0, 0), Span(1, 2), Span(2, 5)]


def test_latency_budget_is_20_50_10_50_5_20_500_2000() -> None:
    assert {step.name: (step.time_ms.low, step.time_ms.high) for step in ASSUMED.steps} == {
        "embed": (20, 50),
        "search": (10, 50),
        "fetch": (5, 20),
        "generate": (500, 2000),
    }
    assert ASSUMED.total_ms == Span(535, 2120)


def test_prices_are_the_published_ones() -> None:
    prices = default_prices()
    assert prices.mode == "self_hosted"
    assert (prices.per_query.llm_tokens, prices.per_query.embedding_tokens) == (1000, 100)
    assert prices.api.llm_per_million_tokens == 2.50
    assert prices.api.embedding_per_million_tokens == 0.02
    assert prices.api.vector_db_per_month == 70
    assert prices.self_hosted.hosting_per_month == 250
    assert prices.self_hosted.training == Span(150, 150)


@pytest.mark.parametrize(
    ("amount", "said"),
    [(0.2, "$0.20"), (9.99, "$9.99"), (9.996, "$10"), (10, "$10"), (570.2, "$570"), (0, "$0.00")],
)
def test_amounts_under_ten_dollars_keep_their_cents(amount: float, said: str) -> None:
    assert dollars(amount) == said
