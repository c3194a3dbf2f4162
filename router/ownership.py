"""What a system costs over two years, people's hours included, by category."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from router.costs import Bill
from router.intents import Route
from router.prices import Prices

WEEKS_PER_MONTH = 52 / 12
CATEGORIES = ("Initial build", "API and compute", "Maintenance", "Iteration")


@dataclass(frozen=True, slots=True)
class Owned:
    """Dollars by category over the whole time."""

    initial_build: float
    api_and_compute: float
    maintenance: float
    iteration: float

    @property
    def total(self) -> float:
        """All four."""
        return sum(self.parts)

    @property
    def parts(self) -> tuple[float, float, float, float]:
        """In the order of CATEGORIES."""
        return self.initial_build, self.api_and_compute, self.maintenance, self.iteration

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"total": self.total}


def owned(route: Route, bill: Bill, queries: int, prices: Prices) -> Owned:
    """The four categories of one system.

    A training costs the middle of what the bill says is paid once. The first round of updates and
    of training is the build's; the others follow in their months.
    """
    plan = prices.ownership
    work, hour, training = plan.work(route), plan.engineer_hour, bill.once.middle
    weeks = plan.months * WEEKS_PER_MONTH
    updates = (plan.months - 1) // work.update_every_months
    trainings = (plan.months - 1) // work.training_every_months
    return Owned(
        initial_build=work.build_hours * hour + training,
        api_and_compute=bill.monthly(queries) * plan.months,
        maintenance=work.maintenance_hours_per_week * weeks * hour,
        iteration=updates * work.update_hours * hour
        + trainings * (work.training_hours * hour + training),
    )
