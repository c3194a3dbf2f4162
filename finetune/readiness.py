"""Whether examples are fit to be trained on: how many, how good, and what to settle before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from finetune.checklist import Item, Reply, checklist
from finetune.duplicates import duplicate_problems, leakage_problems
from finetune.examples import Example
from finetune.form import Habit, form_problems, habits_of
from finetune.lengths import Lengths, length_problems
from finetune.problems import Kind, Problem
from finetune.unfinished import unfinished_problems
from finetune.verdict import Verdict
from finetune.voices_mixed import voice_problems
from finetune.volatile_facts import VolatileFact, fact_problems, volatile_facts

NO_PATTERN = (
    "no pattern of an amount, date or limit was found in the answers (patterns of English only)"
)


@dataclass(frozen=True, slots=True)
class Report:
    """What the check found in a set of examples."""

    count: int
    verdict: Verdict
    problems: tuple[Problem, ...]
    lengths: Lengths
    habits: tuple[Habit, ...]
    facts: tuple[VolatileFact, ...]
    checklist: tuple[Item, ...]

    @property
    def clean(self) -> bool:
        """Whether no row has a problem; the number of rows is the verdict's business."""
        return not self.problems

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "count": self.count,
            "verdict": self.verdict,
            "enough": self.verdict.enough,
            "advice": self.verdict.advice,
            "clean": self.clean,
            "problems": [problem.record() for problem in self.problems],
            "lengths": self.lengths.record(),
            "habits": [asdict(habit) for habit in self.habits],
            "facts": [asdict(fact) for fact in self.facts],
            "checklist": [item.record() for item in self.checklist],
        }


def check(
    examples: Sequence[Example],
    lengths: Lengths,
    *,
    validation: Sequence[Example] = (),
    answers: Mapping[str, Reply] | None = None,
) -> Report:
    """The report on at least one example; `answers` are people's, by the checklist's keys."""
    if not examples:
        raise ValueError("no examples to check; read_examples gives at least one")
    habits = habits_of(examples)
    facts = volatile_facts(examples)
    problems = (
        *fact_problems(facts),
        *leakage_problems(examples, validation),
        *duplicate_problems(examples),
        *unfinished_problems(examples),
        *length_problems(examples, lengths),
        *voice_problems(examples),
        *form_problems(habits),
    )
    replies = _replies(len(examples), problems, len(validation))
    return Report(
        count=len(examples),
        verdict=Verdict.of(len(examples)),
        problems=problems,
        lengths=lengths,
        habits=tuple(habits),
        facts=tuple(facts),
        checklist=tuple(checklist(replies, answers or {})),
    )


def _replies(count: int, problems: Sequence[Problem], validation: int) -> dict[str, Reply]:
    """The questions of the checklist that the data answers."""
    summaries = {problem.kind: problem.summary for problem in problems}
    verdict = Verdict.of(count)
    replies = {"enough_examples": Reply(verdict.enough, f"{count:,}: {verdict.advice}")}
    changing = summaries.get(Kind.VOLATILE_FACTS)
    replies["knowledge_static"] = Reply(
        changing is None, f"facts that change: {changing}" if changing else NO_PATTERN
    )
    if validation:
        leaked = summaries.get(Kind.LEAKAGE)
        replies["evaluation_ready"] = Reply(
            leaked is None, leaked or f"{validation:,} validation rows, none of them trained on"
        )
    return replies
