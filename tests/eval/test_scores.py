"""The lines of a report, counted by hand; macro-F1 held against scikit-learn."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from eval.asking import Asked
from eval.intervals import proportion
from eval.scores import Row, answer_rows, macro_f1, route_rows
from router.intents import Route
from starter.bundle import Question


def asked(
    kind: str = "single",
    *,
    documents: Sequence[str] = ("a.md",),
    cited: Sequence[str] = (),
    facts: Sequence[str] = (),
    text: str = "",
    refused: bool = False,
    zero_overlap: bool = False,
    right: str = "rag",
    route: str = "rag",
) -> Asked:
    question = Question(
        "q", "?", kind, right, tuple(documents), tuple(facts), zero_overlap, split="test"
    )
    outcome = "not_in_documents" if refused else "answered"
    return Asked(question, route, outcome, text, tuple(cited), total_ms=1.0)


def by_name(rows: Sequence[Row]) -> dict[str, Row]:
    return {row.name.strip(): row for row in rows}


def test_citations_are_counted_by_kind_of_question() -> None:
    rows = by_name(
        answer_rows(
            [
                asked(cited=["a.md", "b.md"]),
                asked(cited=["b.md"]),
                asked(cited=["a.md"], zero_overlap=True),
                asked("multi", documents=["a.md", "b.md"], cited=["b.md"]),
                asked("multi", documents=["a.md", "b.md"], cited=["b.md", "x.md", "a.md"]),
            ]
        )
    )

    assert rows["gold document among at most 3 cited"].estimate == proportion(4, 5)
    assert rows["in one place"].estimate == proportion(2, 3)
    assert rows["in two documents: one of them"].estimate == proportion(2, 2)
    assert rows["in two documents: both"].estimate == proportion(1, 2)
    assert rows["no content word shared"].estimate == proportion(1, 1)


def test_question_with_no_citation_counts_as_missed() -> None:
    rows = by_name(answer_rows([asked(), asked(cited=["a.md"])]))

    assert rows["gold document among at most 3 cited"].estimate == proportion(1, 2)


def test_refusals_are_counted_for_each_side() -> None:
    rows = by_name(
        answer_rows(
            [
                asked(cited=["a.md"]),
                asked(refused=True),
                asked("unanswerable", documents=(), refused=True),
                asked("unanswerable", documents=(), refused=True),
                asked("unanswerable", documents=()),
            ]
        )
    )

    assert rows["unanswerable refused"].estimate == proportion(2, 3)
    assert rows["answerable refused"].estimate == proportion(1, 2)


def test_facts_must_all_stand_in_the_text_whatever_case_and_spaces() -> None:
    held = asked(facts=["8 kg", "Small item"], text="A small\nitem  of 8 KG.")
    missed = asked(facts=["8 kg", "9 kg"], text="It weighs 8 kg.")
    rows = by_name(answer_rows([held, missed]))

    assert held.holds_facts
    assert not missed.holds_facts
    assert rows["answer holds the fact"].estimate == proportion(1, 2)


@pytest.mark.parametrize(("fact", "text"), [("8 kg", "At most 18 kg."), ("€5", "It costs €50.")])
def test_fact_is_not_found_inside_another_number(fact: str, text: str) -> None:
    assert not asked(facts=[fact], text=text).holds_facts


def test_question_without_facts_does_not_count_as_holding_them() -> None:
    rows = by_name(answer_rows([asked(), asked(facts=["8 kg"], text="8 kg")]))

    assert rows["answer holds the fact"].estimate == proportion(1, 1)


def test_other_kinds_of_questions_are_left_out() -> None:
    assert answer_rows([asked("creative"), asked("small_talk")]) == []


def test_bars_are_reached_from_the_right_side() -> None:
    few = by_name(answer_rows([asked(cited=["a.md"])] * 9 + [asked(refused=True)]))
    many = by_name(answer_rows([asked(cited=["a.md"])] * 8 + [asked(refused=True)] * 2))

    assert few["answerable refused"].reached is True
    assert many["answerable refused"].reached is False
    assert few["gold document among at most 3 cited"].reached is True
    assert many["gold document among at most 3 cited"].reached is False
    assert few["in one place"].reached is None


@pytest.mark.parametrize("seed", range(5))
def test_macro_f1_is_scikit_learns(seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = random.Random(seed)
    pairs = [(rng.choice(list(Route)), rng.choice(list(Route))) for _ in range(30)]
    right, routed = [str(one) for one, _ in pairs], [str(two) for _, two in pairs]
    expected = metrics.f1_score(
        right, routed, labels=[str(route) for route in Route], average="macro", zero_division=0
    )

    assert macro_f1([asked(right=a, route=b) for a, b in pairs]) == pytest.approx(expected)


def test_macro_f1_counts_a_route_that_nobody_asked_for_as_zero() -> None:
    assert macro_f1([asked(right="rag", route="rag")]) == pytest.approx(1 / 3)


def test_route_rows_hold_recall_of_each_route_asked_for() -> None:
    rows = by_name(
        route_rows(
            [
                asked(right="rag", route="rag"),
                asked(right="rag", route="fine_tuned"),
                asked(right="fine_tuned", route="fine_tuned"),
            ]
        )
    )

    assert rows["recall rag"].estimate == proportion(1, 2)
    assert rows["recall fine_tuned"].estimate == proportion(1, 1)
    assert rows["factual questions sent to fine_tuned"].estimate == proportion(1, 2)
    assert "recall hybrid" not in rows


def test_macro_f1_row_has_a_bootstrap_interval() -> None:
    rows = by_name(route_rows([asked(right=route, route=route) for route in Route] * 4))
    row = rows["router macro-F1"]

    assert row.estimate.value == 1.0
    assert row.estimate.n == 12
    assert row.reached is True


def test_record_holds_question_reply_and_verdicts() -> None:
    record = asked(cited=["a.md"], text="Hi").record()

    assert record["question"]["documents"] == ("a.md",)
    assert (record["refused"], record["cites_gold"], record["holds_facts"]) == (False, True, True)
