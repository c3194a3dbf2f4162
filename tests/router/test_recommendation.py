"""Every branch of the rules, as a table; and what the reasons, warnings and conflicts say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router.amounts import Span
from router.flow import flow_of
from router.intents import Route
from router.latency_budget import ASSUMED, GENERATE, Budget, Step
from router.recommendation import Decision, Recommendation, decide, recommend
from router.use_case import Readiness
from router.values import Limit
from tests.router.use_cases import use_case

HYBRID, RAG = Recommendation.HYBRID, Recommendation.RAG_ONLY
TUNED, DEFAULT = Recommendation.FINE_TUNING_ONLY, Recommendation.DEFAULT

# Whether the data must stay out of the weights (w), nothing external may be read (x), both (wx).
# Warnings: whether examples are too few. Conflicts: limit (l), access (x), weights (w), few (f).
# changes, citations, style, examples, limit, compliance -> recommendation, warned, conflicts
TABLE = [
    # Knowledge that changes: RAG.
    ("daily", "no", "low", "0", "2s", "", RAG, False, ""),
    ("weekly", "no", "low", "0", "2s", "", RAG, False, ""),
    ("monthly", "no", "low", "0", "2s", "", RAG, False, ""),
    ("hourly", "no", "low", "0", "2s", "", RAG, False, ""),
    ("constantly", "no", "medium", "5000", "2s", "", RAG, False, ""),
    ("every two weeks", "no", "low", "0", "2s", "", RAG, False, ""),
    ("every 31 days", "no", "low", "0", "2s", "", RAG, False, ""),
    ("twice a month", "no", "low", "0", "2s", "", RAG, False, ""),
    # A period beyond one month: it stays.
    ("every 32 days", "no", "low", "0", "2s", "", DEFAULT, False, ""),
    ("every 5 weeks", "no", "low", "0", "2s", "", DEFAULT, False, ""),
    ("every two months", "no", "low", "0", "2s", "", DEFAULT, False, ""),
    ("quarterly", "no", "low", "0", "2s", "", DEFAULT, False, ""),
    ("yearly", "no", "low", "0", "2s", "", DEFAULT, False, ""),
    ("rarely", "no", "low", "0", "2s", "", DEFAULT, False, ""),
    ("never", "no", "low", "0", "2s", "", DEFAULT, False, ""),
    # Citations: RAG, whatever changes.
    ("never", "yes", "low", "0", "2s", "", RAG, False, ""),
    ("never", "yes", "medium", "1000", "2s", "", RAG, False, ""),
    ("daily", "yes", "low", "0", "2s", "", RAG, False, ""),
    # High style beside RAG: LoRA from 100 examples.
    ("weekly", "no", "high", "0", "2s", "", RAG, True, ""),
    ("weekly", "no", "high", "99", "2s", "", RAG, True, ""),
    ("weekly", "no", "high", "100", "2s", "", HYBRID, False, ""),
    ("weekly", "no", "high", "499", "2s", "", HYBRID, False, ""),
    ("weekly", "no", "high", "500", "2s", "", HYBRID, False, ""),
    ("weekly", "no", "high", "1000", "2s", "", HYBRID, False, ""),
    ("weekly", "no", "high", "1001", "2s", "", HYBRID, False, ""),
    ("never", "yes", "high", "99", "2s", "", RAG, True, ""),
    ("never", "yes", "high", "100", "2s", "", HYBRID, False, ""),
    ("monthly", "yes", "high", "200", "2s", "", HYBRID, False, ""),
    # Style that is not high trains nothing.
    ("weekly", "no", "medium", "5000", "2s", "", RAG, False, ""),
    ("never", "no", "medium", "5000", "2s", "", DEFAULT, False, ""),
    ("never", "no", "low", "5000", "2s", "", DEFAULT, False, ""),
    # High style, and knowledge that stays.
    ("never", "no", "high", "0", "2s", "", DEFAULT, True, ""),
    ("never", "no", "high", "99", "2s", "", DEFAULT, True, ""),
    ("never", "no", "high", "100", "2s", "", TUNED, False, ""),
    ("quarterly", "no", "high", "1001", "2s", "", TUNED, False, ""),
    # Limits where knowledge stays.
    ("never", "no", "low", "100", "99ms", "", TUNED, False, ""),
    ("never", "no", "low", "100", "under 100 ms", "", TUNED, False, ""),
    ("never", "no", "low", "100", "100ms", "", DEFAULT, False, ""),
    ("never", "no", "low", "100", "1.9 s", "", DEFAULT, False, ""),
    ("never", "no", "low", "100", "none", "", DEFAULT, False, ""),
    ("never", "no", "low", "99", "50ms", "", DEFAULT, True, "f"),
    ("never", "no", "high", "99", "50ms", "", DEFAULT, True, "f"),
    ("never", "no", "high", "200", "50ms", "", TUNED, False, ""),
    # Limits where RAG is needed: the conflict is named, the knowledge rules stand.
    ("never", "yes", "low", "0", "50ms", "", RAG, False, "l"),
    ("weekly", "no", "low", "200", "50ms", "", RAG, False, "l"),
    ("weekly", "yes", "high", "200", "50ms", "", HYBRID, False, "l"),
    ("weekly", "yes", "high", "20", "50ms", "", RAG, True, "l"),
    ("never", "yes", "low", "0", "100ms", "", RAG, False, ""),
    ("never", "yes", "low", "0", "under 100 ms", "", RAG, False, "l"),
    # Data that must not enter weights: RAG only.
    ("never", "no", "low", "0", "2s", "w", RAG, False, ""),
    ("weekly", "no", "low", "0", "2s", "w", RAG, False, ""),
    ("never", "no", "high", "5000", "2s", "w", RAG, False, "w"),
    ("weekly", "yes", "high", "200", "2s", "w", RAG, False, "w"),
    ("never", "no", "high", "5", "2s", "w", RAG, False, "w"),
    ("never", "no", "low", "200", "50ms", "w", RAG, False, "l"),
    ("weekly", "yes", "high", "200", "50ms", "w", RAG, False, "lw"),
    # No external data access: fine-tuning, where it can be.
    ("never", "no", "low", "100", "2s", "x", TUNED, False, ""),
    ("never", "no", "low", "99", "2s", "x", DEFAULT, True, "f"),
    ("never", "no", "high", "200", "2s", "x", TUNED, False, ""),
    ("never", "no", "low", "50", "50ms", "x", DEFAULT, True, "f"),
    ("weekly", "no", "low", "200", "2s", "x", RAG, False, "x"),
    ("never", "yes", "high", "200", "2s", "x", HYBRID, False, "x"),
    ("weekly", "no", "high", "20", "50ms", "x", RAG, True, "lx"),
    # Both: neither way is open.
    ("never", "no", "low", "200", "2s", "wx", RAG, False, "x"),
    ("weekly", "yes", "low", "200", "2s", "wx", RAG, False, "x"),
    ("weekly", "yes", "high", "200", "50ms", "wx", RAG, False, "lxw"),
]
MARKS = {
    "l": "impossible within",
    "x": "no external data access",
    "w": "high style asks for fine-tuning, and data must not enter weights",
    "f": "will not do for it",
}


def decided(*, kept_out: bool = False, closed: bool = False, **answers: str) -> Decision:
    return decide(use_case(kept_out=kept_out, closed=closed, **answers), ASSUMED)


def test_table_has_at_least_sixty_cases_and_no_case_twice() -> None:
    assert len(TABLE) >= 60
    assert len({row[:6] for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: " ".join(row[:6]))
def test_rules_decide_as_the_table_says(
    row: tuple[str, str, str, str, str, str, Recommendation, bool, str],
) -> None:
    changes, citations, style, count, limit, compliance, expected, warned, conflicts = row
    case = use_case(
        knowledge_changes=changes,
        needs_citations=citations,
        style_requirements=style,
        training_data=count,
        latency_requirement=limit,
        kept_out="w" in compliance,
        closed="x" in compliance,
    )

    decision = decide(case, ASSUMED)

    assert decision.recommendation is expected
    assert recommend(case) is expected
    assert flow_of(case).recommendation is expected
    assert any("INSUFFICIENT" in text for text in decision.warnings) is warned
    assert len(decision.conflicts) == len(conflicts)
    for mark, conflict in zip(conflicts, decision.conflicts, strict=True):
        assert MARKS[mark] in conflict.text
        assert conflict.possible_with
    assert decision.reasons


def test_published_use_case_has_the_four_published_reasons() -> None:
    decision = decided()

    assert decision.recommendation == "Hybrid (RAG + LoRA Fine-tuning)"
    assert decision.reasons == (
        "Knowledge changes weekly → RAG for dynamic content",
        "Citations required → RAG provides source attribution",
        "High style requirements → Fine-tune for consistent voice",
        "200 examples sufficient for LoRA",
    )
    assert (decision.warnings, decision.conflicts) == ((), ())


def test_recommendations_have_their_published_names_and_share_the_routers_routes() -> None:
    assert {str(each): each.route for each in Recommendation} == {
        "Hybrid (RAG + LoRA Fine-tuning)": Route.HYBRID,
        "RAG Only": Route.RAG,
        "Fine-Tuning Only (LoRA)": Route.FINE_TUNED,
        "RAG (Default Safe Choice)": Route.RAG,
    }


def test_too_few_examples_are_warned_of_in_the_published_words() -> None:
    assert decided(training_data="42").warnings == (
        "42 examples is INSUFFICIENT for LoRA. Gathering more data recommended.",
    )


@pytest.mark.parametrize(
    ("count", "said"),
    [
        ("100", "100 examples sufficient for LoRA"),
        ("499", "499 examples sufficient for LoRA"),
        ("500", "500 examples good for LoRA"),
        ("1000", "1,000 examples good for LoRA"),
        ("1001", "1,001 examples good for LoRA; full fine-tuning is possible too"),
    ],
)
def test_number_of_examples_is_called_what_it_is(count: str, said: str) -> None:
    assert decided(training_data=count).reasons[-1] == said


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("1.9 s", "Limit of 1.9 s → RAG is fine if answers are streamed: "),
        ("under 2 s", "Limit under 2 s → RAG is fine if answers are streamed: "),
        ("2s", "Citations required"),
    ],
)
def test_limit_under_two_seconds_is_fine_for_rag(limit: str, said: str) -> None:
    decision = decided(latency_requirement=limit, style_requirements="low")
    assert decision.reasons[-1].startswith(said)


def test_limit_that_the_measured_budget_keeps_is_simply_fine() -> None:
    quick = Budget((Step("embed", Span(2, 4)), GENERATE))
    shorter = replace(quick, steps=(quick.steps[0], replace(GENERATE, time_ms=Span(200, 800))))
    case = use_case(latency_requirement="1s", style_requirements="low")

    assert decide(case, shorter).reasons[-1] == "Limit of 1 s → RAG is fine"


def test_limit_that_measured_retrieval_alone_exceeds_is_a_conflict_and_not_fine() -> None:
    slow = Budget((Step("embed", Span(60, 80)), Step("search and fetch", Span(200, 300)), GENERATE))
    case = use_case(latency_requirement="150ms", style_requirements="low")

    decision = decide(case, slow)

    assert decision.recommendation is RAG
    assert not any("RAG is fine" in reason for reason in decision.reasons)
    (conflict,) = decision.conflicts
    assert conflict.text == (
        "RAG is impossible with a limit of 150 ms: retrieval alone takes 260 ms to 380 ms"
    )
    assert decide(case, ASSUMED).conflicts == ()
    assert decide(replace(case, latency=Limit(260)), slow).conflicts == ()


def test_limit_that_writing_alone_exceeds_is_warned_of_where_only_training_is_advised() -> None:
    def warnings(limit: str) -> tuple[str, ...]:
        return decided(
            knowledge_changes="never", needs_citations="no", latency_requirement=limit
        ).warnings

    (warning,) = warnings("50ms")
    assert warning == (
        "fine-tuning saves the retrieval, not the writing: a whole answer is assumed to take "
        "500 ms to 2 s. A limit of 50 ms asks for a small model with short answers, or for "
        "precomputed ones."
    )
    assert warnings("500ms") == ()


def test_citations_in_50_ms_say_what_would_make_it_possible() -> None:
    (conflict,) = decided(
        knowledge_changes="never", style_requirements="low", latency_requirement="50ms"
    ).conflicts

    assert conflict.text == (
        "citations need RAG, and RAG is impossible within 50 ms: it takes 535 ms to 2.12 s"
    )
    possible = " ".join(conflict.possible_with)
    assert all(way in possible for way in ("prefetch", "semantic cache", "precomputed answers"))


def test_contradiction_of_both_compliance_answers_is_named() -> None:
    (conflict,) = decided(style_requirements="low", kept_out=True, closed=True).conflicts

    assert "data must not enter weights, and no external data access" in conflict.text
    assert "neither way" in conflict.text


def test_data_set_with_facts_that_change_contradicts_knowledge_that_stays() -> None:
    ready = Readiness("train.jsonl", 300, 300, ("facts that change: 12 rows",), "12 rows")
    case = replace(
        use_case(knowledge_changes="never", needs_citations="no"),
        training_data=300,
        readiness=ready,
    )

    decision = decide(case, ASSUMED)

    assert decision.recommendation is TUNED
    assert "facts that change: 12 rows" in decision.conflicts[0].text
    assert decision.warnings == ("train.jsonl: facts that change: 12 rows",)


def test_data_set_with_repeated_rows_says_how_many_count() -> None:
    ready = Readiness("train.jsonl", 120, 90, ("exact duplicates: 30 rows",))
    case = replace(use_case(), training_data=90, readiness=ready)

    warnings = decide(case, ASSUMED).warnings

    assert "90 examples is INSUFFICIENT" in warnings[0]
    assert warnings[1].startswith("train.jsonl: 90 of 120 examples count")
