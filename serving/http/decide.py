"""POST /v1/decide: RAG, fine-tuning or both for a use case, with its cost."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from typing import Any, Self, TypeVar

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from finetune.problems import Finding, Kind, Problem
from router.analysis import analyse
from router.errors import AssumptionsError, UseCaseError
from router.latency_budget import ASSUMED, Budget, measured_budget
from router.prices import Mode, Prices, changed_prices
from router.sections import sections
from router.use_case import READERS, Readiness, UseCase, read_use_case
from serving.errors import InvalidRequestError
from serving.http.state import caller
from serving.readiness_input import readiness_of

router = APIRouter()
Assumed = TypeVar("Assumed")


class FindingBody(BaseModel):
    """A row in which a problem was found."""

    model_config = ConfigDict(extra="ignore")

    line: int


class ProblemBody(BaseModel):
    """A problem of the readiness report."""

    model_config = ConfigDict(extra="ignore")

    kind: Kind
    summary: str
    findings: list[FindingBody] = []

    def problem(self) -> Problem:
        """As the check made it, without what the decision doesn't look at."""
        return Problem(
            self.kind, self.summary, "", tuple(Finding(each.line, "") for each in self.findings)
        )


class ReadinessBody(BaseModel):
    """What `twofold train check --json FILE` wrote; the rest of it is let pass."""

    model_config = ConfigDict(extra="ignore")

    count: int = Field(ge=1, le=10**9)
    problems: list[ProblemBody] = []

    def readiness(self) -> Readiness:
        """As the decision takes it."""
        problems = [each.problem() for each in self.problems]
        return readiness_of("readiness report", self.count, problems)


class DecideBody(BaseModel):
    """The six answers as people write them, and what else `twofold decide analyze` takes."""

    model_config = ConfigDict(extra="forbid")

    knowledge_changes: str
    needs_citations: bool | str
    style_requirements: str
    training_data: int | str | None = None
    latency_requirement: str | int | float
    monthly_queries: int | str
    data_must_not_enter_weights: bool = False
    no_external_data_access: bool = False
    readiness: ReadinessBody | None = None  # instead of training_data
    prices: dict[str, Any] | str | None = None  # nested as in the price file, or its TOML text
    price_mode: Mode | None = None
    bench: dict[str, Any] | None = None  # a result of `twofold bench retrieval`
    report: bool = False  # also in words, tables and drawings, as the page shows it

    @field_validator("training_data", "latency_requirement", "monthly_queries", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError(f"{value!r} is no number")
        return value

    @model_validator(mode="after")
    def _say_examples_once(self) -> Self:
        if (self.training_data is None) is (self.readiness is None):
            raise ValueError("give `training_data` or `readiness`, one of the two")
        return self

    def use_case(self) -> UseCase:
        """The answers, read. Raises UseCaseError."""
        given = {name: getattr(self, name) for name in READERS}
        return read_use_case(
            {name: _words(value) for name, value in given.items() if value is not None},
            readiness=self.readiness.readiness() if self.readiness else None,
            data_must_not_enter_weights=self.data_must_not_enter_weights,
            no_external_data_access=self.no_external_data_access,
        )

    def assumptions(self) -> Prices:
        """The shipped prices with the changes that were sent. Raises AssumptionsError."""
        changes = self.prices or {}
        if isinstance(changes, str):
            try:
                changes = tomllib.loads(changes)
            except (ValueError, RecursionError) as error:
                raise AssumptionsError(f"prices: not TOML: {error}") from error
        return changed_prices(changes | ({"mode": self.price_mode} if self.price_mode else {}))

    def budget(self) -> Budget:
        """Measured where a result was sent. Raises AssumptionsError."""
        return measured_budget(self.bench) if self.bench is not None else ASSUMED


@router.post("/v1/decide")
def decide(body: DecideBody, request: Request) -> dict[str, Any]:
    """The recommendation with reasons, conflicts, costs, and what would change it."""
    caller(request)
    try:
        case = body.use_case()
    except UseCaseError as error:
        raise InvalidRequestError(str(error), param=next(iter(error.problems))) from error
    prices = _read(body.assumptions, param="prices")
    analysis = analyse(case, prices, _read(body.budget, param="bench"))
    reply = analysis.record()
    if body.report:
        reply["report"] = [section.record() for section in sections(analysis)]
    return reply


def _read(read: Callable[[], Assumed], *, param: str) -> Assumed:
    """What was sent beside the answers; what is wrong with it is said of its field."""
    try:
        return read()
    except AssumptionsError as error:
        raise InvalidRequestError(str(error), param=param) from error


def _words(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
