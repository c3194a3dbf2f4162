"""The decision as a chart: questions, the ways between them, and the path that a case takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from router.recommendation import Recommendation, speaks_for_training
from router.use_case import UseCase


@dataclass(frozen=True, slots=True)
class Question:
    """A fork: where yes and no lead, to another question or to a recommendation."""

    text: str
    yes: str
    no: str


START = "weights"
QUESTIONS: Mapping[str, Question] = MappingProxyType(
    {
        "weights": Question(
            "Must the data stay out of the weights?", yes="kept_out", no="documents"
        ),
        "documents": Question(
            "Does knowledge change within a month, or must it be cited?", yes="style", no="training"
        ),
        "style": Question("Is a high, consistent style required?", yes="examples", no="rag_only"),
        "training": Question(
            "High style, under 100 ms, or no external data access?",
            yes="examples_alone",
            no="default",
        ),
        "examples": Question("At least 100 examples?", yes="hybrid", no="rag_only"),
        "examples_alone": Question("At least 100 examples?", yes="fine_tuning", no="default"),
    }
)
ENDS: Mapping[str, Recommendation] = MappingProxyType(
    {
        "kept_out": Recommendation.RAG_ONLY,
        "hybrid": Recommendation.HYBRID,
        "rag_only": Recommendation.RAG_ONLY,
        "fine_tuning": Recommendation.FINE_TUNING_ONLY,
        "default": Recommendation.DEFAULT,
    }
)


@dataclass(frozen=True, slots=True)
class Taken:
    """A question on the path and its answer."""

    question: str
    yes: bool


@dataclass(frozen=True, slots=True)
class Flow:
    """The path of one case: questions with their answers, and the end it comes to."""

    path: tuple[Taken, ...]
    end: str

    @property
    def recommendation(self) -> Recommendation:
        """Where the path leads."""
        return ENDS[self.end]

    def passes(self, name: str) -> bool:
        """Whether a question or an end is on the path."""
        return name == self.end or any(step.question == name for step in self.path)

    def takes(self, name: str, *, yes: bool) -> bool:
        """Whether the way out of a question is on the path."""
        return Taken(name, yes) in self.path

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "path": [
                {"question": QUESTIONS[step.question].text, "answer": "yes" if step.yes else "no"}
                for step in self.path
            ],
            "end": self.recommendation,
        }


def flow_of(case: UseCase) -> Flow:
    """Follow the chart from its start."""
    answers = {
        "weights": case.data_must_not_enter_weights,
        "documents": case.needs_documents,
        "style": case.high_style,
        "training": speaks_for_training(case),
        "examples": case.enough_examples,
        "examples_alone": case.enough_examples,
    }
    path: list[Taken] = []
    name = START
    while name in QUESTIONS:
        path.append(Taken(name, answers[name]))
        name = QUESTIONS[name].yes if answers[name] else QUESTIONS[name].no
    return Flow(tuple(path), name)
