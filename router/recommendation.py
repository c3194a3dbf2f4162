"""The rules: a use case -> RAG, fine-tuning or both, with reasons, warnings and conflicts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from router.amounts import Span, examples, milliseconds
from router.intents import Route
from router.latency_budget import REMEDIES, Budget
from router.use_case import FULL_ABOVE, GOOD_FROM, RAG_FINE_BELOW_MS, UseCase
from router.values import Limit


class Recommendation(StrEnum):
    """What a use case is advised to build."""

    HYBRID = "Hybrid (RAG + LoRA Fine-tuning)"
    RAG_ONLY = "RAG Only"
    FINE_TUNING_ONLY = "Fine-Tuning Only (LoRA)"
    DEFAULT = "RAG (Default Safe Choice)"

    @property
    def route(self) -> Route:
        """The route that all its questions take."""
        if self is Recommendation.HYBRID:
            return Route.HYBRID
        return Route.FINE_TUNED if self is Recommendation.FINE_TUNING_ONLY else Route.RAG

    @property
    def retrieves(self) -> bool:
        """Whether documents are searched."""
        return self.route is not Route.FINE_TUNED

    @property
    def trains(self) -> bool:
        """Whether an adapter is trained."""
        return self.route is not Route.RAG


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two answers that cannot both be met as asked, and what would make it possible."""

    text: str
    possible_with: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """The recommendation and everything that led to it, in the order to be read."""

    recommendation: Recommendation
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    conflicts: tuple[Conflict, ...]

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"route": self.recommendation.route}


def recommend(case: UseCase) -> Recommendation:
    """What knowledge, style and compliance ask for; the first rule that fits decides.

    1. What must not enter weights is not trained on.
    2. Knowledge that changes or must be cited is looked up; high style adds an adapter.
    3. Knowledge that stays can be trained, where something asks for it.
    4. Nothing asks for anything: RAG, which can be changed any day.
    """
    if case.data_must_not_enter_weights:
        return Recommendation.RAG_ONLY
    if case.needs_documents:
        adapter = case.high_style and case.enough_examples
        return Recommendation.HYBRID if adapter else Recommendation.RAG_ONLY
    if speaks_for_training(case) and case.enough_examples:
        return Recommendation.FINE_TUNING_ONLY
    return Recommendation.DEFAULT


def speaks_for_training(case: UseCase) -> bool:
    """Whether anything but the number of examples asks for an adapter without retrieval."""
    return case.high_style or case.fast or case.no_external_data_access


def decide(case: UseCase, budget: Budget) -> Decision:
    """The recommendation of the rules, with reasons; conflicts are named and change nothing."""
    recommendation = recommend(case)
    return Decision(
        recommendation=recommendation,
        reasons=tuple(_reasons(case, recommendation, budget)),
        warnings=tuple(_warnings(case, recommendation, budget)),
        conflicts=tuple(_conflicts(case, recommendation, budget)),
    )


def _reasons(case: UseCase, chosen: Recommendation, budget: Budget) -> Iterator[str]:
    change = case.knowledge_changes
    if case.data_must_not_enter_weights:
        yield "Data must not enter weights → RAG only, nothing is trained on it"
    if change.counts:
        yield f"Knowledge changes {change.words} → RAG for dynamic content"
    if case.needs_citations:
        yield "Citations required → RAG provides source attribution"
    if chosen is Recommendation.FINE_TUNING_ONLY:
        yield f"Knowledge changes {change.words}, no citations → No retrieval needed"
    yield from _style_reasons(case, chosen)
    if chosen is Recommendation.FINE_TUNING_ONLY and case.no_external_data_access:
        yield "No external data access → Fine-tune, so that nothing is looked up"
    if chosen is Recommendation.FINE_TUNING_ONLY and case.fast:
        yield f"{case.latency.phrase.capitalize()} → Fine-tune without retrieval"
    if chosen.trains:
        yield _sufficient(case.training_data)
    if chosen.retrieves and _fine_for_rag(case, budget):
        yield _in_time(case.latency, budget)
    if chosen is Recommendation.DEFAULT:
        yield "Nothing that can be met asks for training → RAG, which can be changed any day"


def _fine_for_rag(case: UseCase, budget: Budget) -> bool:
    """Whether the limit is under 2 s, and nothing assumed or measured speaks against it."""
    in_range = not case.fast and case.latency.under(RAG_FINE_BELOW_MS)
    return in_range and not _retrieval_too_slow(case, budget)


def _retrieval_too_slow(case: UseCase, budget: Budget) -> bool:
    """Whether finding alone takes longer than the limit, as a measured budget may say."""
    return budget.retrieval_ms.low > case.latency.time_ms


def _style_reasons(case: UseCase, chosen: Recommendation) -> Iterator[str]:
    if not case.high_style:
        return
    if chosen.trains:
        yield "High style requirements → Fine-tune for consistent voice"
    elif not case.data_must_not_enter_weights:
        yield "High style requirements → Few-shot examples in the prompt for now"


def _sufficient(count: int) -> str:
    if count > FULL_ABOVE:
        return f"{examples(count)} good for LoRA; full fine-tuning is possible too"
    return f"{examples(count)} {'good' if count >= GOOD_FROM else 'sufficient'} for LoRA"


def _in_time(limit: Limit, budget: Budget) -> str:
    total = budget.total_ms
    reason = f"{limit.phrase.capitalize()} → RAG is fine"
    if limit.time_ms >= total.high:
        return reason
    return f"{reason} if answers are streamed: a whole one takes {_between(total)}"


def _between(span: Span) -> str:
    return f"{milliseconds(span.low)} to {milliseconds(span.high)}"


def _warnings(case: UseCase, chosen: Recommendation, budget: Budget) -> Iterator[str]:
    asked = case.high_style or (chosen is Recommendation.DEFAULT and speaks_for_training(case))
    if asked and not case.enough_examples and not case.data_must_not_enter_weights:
        yield (
            f"{examples(case.training_data)} is INSUFFICIENT for LoRA. "
            "Gathering more data recommended."
        )
    generation = budget.generation_ms
    if chosen is Recommendation.FINE_TUNING_ONLY and case.latency.time_ms < generation.low:
        yield (
            "fine-tuning saves the retrieval, not the writing: a whole answer is assumed to take "
            f"{_between(generation)}. A {case.latency.phrase} asks for a small model with short "
            "answers, or for precomputed ones."
        )
    if case.readiness is not None:
        ready = case.readiness
        if ready.usable < ready.rows:
            yield (
                f"{ready.source}: {ready.usable:,} of {examples(ready.rows)} count, "
                "the others repeat them or are empty"
            )
        yield from (f"{ready.source}: {problem}" for problem in ready.problems)


def _conflicts(case: UseCase, chosen: Recommendation, budget: Budget) -> Iterator[Conflict]:
    if case.fast and (case.needs_documents or case.data_must_not_enter_weights):
        yield _too_fast(case, budget)
    elif chosen.retrieves and not case.fast and _retrieval_too_slow(case, budget):
        yield Conflict(
            f"RAG is impossible with a {case.latency.phrase}: retrieval alone takes "
            f"{_between(budget.retrieval_ms)}",
            REMEDIES,
        )
    if case.no_external_data_access:
        yield from _no_access(case)
    if case.data_must_not_enter_weights and case.high_style:
        yield Conflict(
            "high style asks for fine-tuning, and data must not enter weights",
            ("training on examples that hold none of that data", "few-shot examples"),
        )
    if chosen is Recommendation.DEFAULT and (case.fast or case.no_external_data_access):
        limit = f"a {case.latency.phrase}" if case.fast else ""
        closed = "no external data access" if case.no_external_data_access else ""
        asks = " and ".join(filter(None, (limit, closed)))
        verb = "ask" if limit and closed else "asks"
        yield Conflict(
            f"{asks} {verb} for fine-tuning without retrieval, and "
            f"{examples(case.training_data)} will not do for it",
            ("at least 100 examples", *(REMEDIES if case.fast else ())),
        )
    if (
        chosen is Recommendation.FINE_TUNING_ONLY
        and case.readiness is not None
        and case.readiness.changing_facts
    ):
        yield Conflict(
            "knowledge is said to stay, and the examples hold facts that change: "
            f"{case.readiness.changing_facts}",
            ("RAG for these facts, with the examples rewritten to leave them out",),
        )


def _why_documents(case: UseCase) -> str:
    """What cannot do without retrieval, as the subject of a sentence."""
    whys = []
    if case.knowledge_changes.counts:
        whys.append(f"knowledge that changes {case.knowledge_changes.words}")
    if case.needs_citations:
        whys.append("citations")
    if case.data_must_not_enter_weights and not whys:
        whys.append("data that must not enter weights")
    return " and ".join(whys)


def _too_fast(case: UseCase, budget: Budget) -> Conflict:
    why = _why_documents(case)
    verb = "needs" if why.count(" and ") == 0 and why != "citations" else "need"
    return Conflict(
        f"{why} {verb} RAG, and RAG is impossible within {milliseconds(case.latency.time_ms)}: "
        f"it takes {_between(budget.total_ms)}",
        REMEDIES,
    )


def _no_access(case: UseCase) -> Iterator[Conflict]:
    inside = "an index inside the same boundary as the model, so that nothing external is read"
    if case.data_must_not_enter_weights:
        yield Conflict(
            "data must not enter weights, and no external data access keeps it from being looked "
            "up: the model can know it neither way",
            (inside,),
        )
    elif case.needs_documents:
        why = _why_documents(case)
        verb = "needs" if why.count(" and ") == 0 and why != "citations" else "need"
        yield Conflict(
            f"{why} {verb} RAG, and no external data access speaks for fine-tuning alone",
            (inside,),
        )
