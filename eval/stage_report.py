"""What the searches of one or more sets say about the stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from eval.intervals import Estimate, bootstrap_mean
from eval.measures import MEASURES
from eval.paired import Paired, paired_test
from eval.retrieval import Measured
from eval.stages import Stage


@dataclass(frozen=True, slots=True)
class Change:
    """What a stage adds to the one before, in one measure."""

    stage: Stage
    before: Stage
    measure: str
    test: Paired


@dataclass(frozen=True, slots=True)
class Summary:
    """Each stage's measures and each step's gain; of several sets, the mean of their means."""

    sets: tuple[Measured, ...]
    estimates: Mapping[Stage, Mapping[str, Estimate]]
    changes: tuple[Change, ...]

    @property
    def n(self) -> int:
        """Number of queries."""
        return sum(len(item.dataset.queries) for item in self.sets)

    @property
    def label(self) -> str:
        """What stands above the figures."""
        if len(self.sets) == 1:
            return self.sets[0].label
        which = " not trained on" if not any(item.trained_on for item in self.sets) else ""
        return f"mean of {len(self.sets)} sets{which}"

    def change(self, stage: Stage, measure: str) -> Change | None:
        """A stage's gain; the first stage has none."""
        found = (item for item in self.changes if (item.stage, item.measure) == (stage, measure))
        return next(found, None)

    def record(self) -> dict[str, Any]:
        """For a result file: plain values in `stages`, their 95 % intervals beside them."""
        return {
            "n": self.n,
            "stages": {
                stage: {name: estimate.value for name, estimate in row.items()}
                for stage, row in self.estimates.items()
            },
            "intervals_95": {
                stage: {name: [estimate.low, estimate.high] for name, estimate in row.items()}
                for stage, row in self.estimates.items()
            },
            "tests": [
                {
                    "stage": change.stage,
                    "before": change.before,
                    "measure": change.measure,
                    "difference": change.test.difference.value,
                    "interval_95": [change.test.difference.low, change.test.difference.high],
                    "p": change.test.p,
                }
                for change in self.changes
            ],
        }


def summarise(sets: Sequence[Measured]) -> Summary:
    """One or more sets, measured at the same stages."""
    stages = list(sets[0].scores)
    estimates = {
        stage: {
            name: bootstrap_mean([each.scores[stage][name] for each in sets]) for name in MEASURES
        }
        for stage in stages
    }
    changes = []
    for before, stage in pairwise(stages):
        for name in MEASURES:
            gains = [each.scores[stage][name] - each.scores[before][name] for each in sets]
            changes.append(Change(stage, before, name, paired_test(gains)))
    return Summary(tuple(sets), estimates, tuple(changes))


def summarise_all(sets: Sequence[Measured]) -> list[Summary]:
    """Each set; of several, all together too; of mixed ones, also those that trained no model."""
    summaries = [summarise([each]) for each in sets]
    unseen = [each for each in sets if not each.trained_on]
    if len(sets) > 1:
        summaries.append(summarise(sets))
    if 1 < len(unseen) < len(sets):
        summaries.append(summarise(unseen))
    return summaries
