"""Which single answer changes the recommendation, and at what value."""

from __future__ import annotations

from router.latency_budget import ASSUMED
from router.sensitivity import turns
from tests.router.use_cases import changed, use_case


def found(**answers: str) -> dict[str, tuple[str, str]]:
    return {
        turn.answer: (turn.value, str(turn.recommendation))
        for turn in turns(changed(answers), ASSUMED)
    }


def test_published_case_turns_on_style_examples_and_compliance() -> None:
    assert found() == {
        "Style requirements": ("medium or low", "RAG Only"),
        "Training data": ("fewer than 100", "RAG Only"),
        "Data must not enter weights": ("yes", "RAG Only"),
    }


def test_case_without_citations_turns_on_the_period_too() -> None:
    assert found(needs_citations="no")["Knowledge changes"] == (
        "less often than monthly",
        "Fine-Tuning Only (LoRA)",
    )


def test_few_examples_turn_at_one_hundred() -> None:
    assert found(training_data="99")["Training data"] == (
        "100 or more",
        "Hybrid (RAG + LoRA Fine-tuning)",
    )


def test_stable_knowledge_turns_at_a_month_and_the_limit_at_100_ms() -> None:
    case = found(knowledge_changes="never", needs_citations="no", style_requirements="low")
    assert case["Knowledge changes"] == ("monthly or more often", "RAG Only")
    assert case["Citations"] == ("yes", "RAG Only")
    assert case["Style requirements"] == ("high", "Fine-Tuning Only (LoRA)")
    assert case["Latency limit"] == ("under 100 ms", "Fine-Tuning Only (LoRA)")
    assert case["No external data access"] == ("yes", "Fine-Tuning Only (LoRA)")


def test_change_that_only_resolves_a_conflict_says_so() -> None:
    (turn,) = [
        turn
        for turn in turns(use_case(latency_requirement="50ms"), ASSUMED)
        if turn.answer == "Latency limit"
    ]
    assert (turn.now, turn.value, turn.resolves) == ("50 ms", "100 ms or more", True)
    assert turn.recommendation == "Hybrid (RAG + LoRA Fine-tuning)"


def test_case_that_nothing_turns_has_no_turns() -> None:
    case = use_case(style_requirements="low", training_data="200")
    assert [turn.answer for turn in turns(case, ASSUMED)] == ["Style requirements"]
    assert found(style_requirements="low", training_data="5") == {}
