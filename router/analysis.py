"""Everything there is to say about a use case, in one object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from router.amounts import Span
from router.costs import Bill, bill, cheaper_from, gpu_bill
from router.data_preparation import Scheduled, schedule, total_weeks
from router.flow import Flow, flow_of
from router.intents import Route
from router.latency_budget import ASSUMED, Budget
from router.ownership import Owned, owned
from router.prices import Prices
from router.recommendation import Decision, decide
from router.sensitivity import Turn, turns
from router.use_case import UseCase

SYSTEMS = {Route.RAG: "RAG only", Route.FINE_TUNED: "Fine-tuned only", Route.HYBRID: "Hybrid"}
GPU = "One 24 GB GPU"


@dataclass(frozen=True, slots=True)
class Analysis:
    """The decision, the path to it, costs side by side, and what else would change it."""

    case: UseCase
    prices: Prices
    decision: Decision
    flow: Flow
    bills: Mapping[Route, Bill]
    gpu: Bill
    gpu_cheaper_from: Mapping[Route, float | None]
    owned: Mapping[Route, Owned]
    budget: Budget
    turns: tuple[Turn, ...]
    preparation: tuple[Scheduled, ...]

    @property
    def bill(self) -> Bill:
        """What the recommended system costs."""
        return self.bills[self.decision.recommendation.route]

    @property
    def preparation_weeks(self) -> Span:
        """How long the examples take altogether."""
        return total_weeks()

    @property
    def training_is_at_hand(self) -> bool:
        """Whether examples matter: an adapter is advised, or wanted and short of them."""
        return self.decision.recommendation.trains or bool(self.decision.warnings)

    def record(self) -> dict[str, Any]:
        """For JSON."""
        queries = self.case.monthly_queries
        return {
            "use_case": self.case.record(),
            "decision": self.decision.record(),
            "flow": self.flow.record(),
            "costs": self.bill.record(queries),
            "comparison": {
                "mode": self.prices.mode,
                "monthly_queries": queries,
                **{route: each.record(queries) for route, each in self.bills.items()},
                "gpu": self.gpu.record(queries),
                "gpu_cheaper_from_queries": dict(self.gpu_cheaper_from),
            },
            "ownership": {
                "months": self.prices.ownership.months,
                **{route: each.record() for route, each in self.owned.items()},
            },
            "latency_budget": self.budget.record(),
            "sensitivity": [turn.record() for turn in self.turns],
            "data_preparation": {
                "tasks": [each.record() for each in self.preparation],
                "weeks": asdict(self.preparation_weeks),
            },
            "assumptions": asdict(self.prices),
        }


def analyse(case: UseCase, prices: Prices, budget: Budget = ASSUMED) -> Analysis:
    """Decide, and compute everything that belongs to the decision."""
    bills = {route: bill(route, prices) for route in SYSTEMS}
    gpu = gpu_bill(prices)
    queries = case.monthly_queries
    return Analysis(
        case=case,
        prices=prices,
        decision=decide(case, budget),
        flow=flow_of(case),
        bills=bills,
        gpu=gpu,
        gpu_cheaper_from={route: cheaper_from(gpu, each) for route, each in bills.items()},
        owned={route: owned(route, each, queries, prices) for route, each in bills.items()},
        budget=budget,
        turns=turns(case, budget),
        preparation=schedule(),
    )
