from __future__ import annotations

import doctest
import importlib
import json

import pytest

from finetune.checklist import AnsweredBy, Reply
from finetune.examples import Example
from finetune.lengths import lengths_of
from finetune.problems import Kind
from finetune.readiness import Report, check
from finetune.verdict import Verdict
from tests.finetune.answer_sets import CALM, PLAYFUL, brand, from_answers, varied


def report_on(examples: list[Example]) -> Report:
    return check(examples, lengths_of(examples))


@pytest.mark.parametrize(
    ("count", "verdict", "enough"),
    [
        (1, Verdict.NOT_ENOUGH, False),
        (99, Verdict.NOT_ENOUGH, False),
        (100, Verdict.POSSIBLE, True),
        (499, Verdict.POSSIBLE, True),
        (500, Verdict.GOOD, True),
        (1000, Verdict.GOOD, True),
        (1001, Verdict.FULL, True),
    ],
)
def test_verdict_goes_by_count(count: int, verdict: Verdict, enough: bool) -> None:
    assert Verdict.of(count) is verdict
    assert verdict.enough is enough


def test_verdict_on_few_examples_names_the_alternatives() -> None:
    assert "use retrieval and few-shot prompting, or collect more" in Verdict.of(42).advice


def test_check_of_varied_examples_in_one_voice_is_clean() -> None:
    report = report_on(varied(100))
    assert report.problems == ()
    assert report.clean
    assert report.verdict is Verdict.POSSIBLE


def test_check_of_few_clean_examples_is_clean_and_not_enough() -> None:
    report = report_on(varied(42))
    assert report.clean
    assert not report.verdict.enough


def test_check_finds_each_kind_of_problem() -> None:
    good = [each.answer for each in varied(80)]
    answers = [*good, *brand(PLAYFUL, 30), "It is $5.", "N/A", "It is the", "a " * 4000]
    examples = from_answers(answers)
    examples.append(Example(115, examples[0].messages))
    examples.append(Example(116, from_answers([good[1] + " So."] * 2)[1].messages))
    lengths = lengths_of(examples)
    report = check(examples, lengths, validation=[examples[2]])
    assert {problem.kind for problem in report.problems} == set(Kind) - {Kind.TOO_LONG}
    assert not report.clean


def test_check_answers_the_checklist_from_the_data() -> None:
    examples = varied(120)
    answers = {"behaviour": Reply(True, "Calm letters.")}
    report = check(
        examples[:100], lengths_of(examples[:100]), validation=examples[100:], answers=answers
    )
    states = {item.key: (item.answered_by, item.reply) for item in report.checklist}
    assert states["evaluation_ready"] == (
        AnsweredBy.DATA,
        Reply(True, "20 validation rows, none of them trained on"),
    )
    assert states["enough_examples"][0] is AnsweredBy.DATA
    assert states["knowledge_static"][0] is AnsweredBy.DATA
    assert states["behaviour"] == (AnsweredBy.YOU, Reply(True, "Calm letters."))
    assert sum(who is AnsweredBy.NOBODY for who, _ in states.values()) == 6


def test_check_without_facts_says_only_that_no_pattern_was_found() -> None:
    (reply,) = (
        item.reply for item in report_on(varied(100)).checklist if item.key == "knowledge_static"
    )
    assert reply is not None
    assert reply.because == (
        "no pattern of an amount, date or limit was found in the answers (patterns of English only)"
    )


def test_check_of_leaked_rows_and_facts_says_no_in_the_checklist() -> None:
    examples = from_answers(["It is $5.", "It is so."])
    report = check(examples, lengths_of(examples), validation=examples[1:])
    said = {item.key: item.reply.yes for item in report.checklist if item.reply}
    assert said == {"enough_examples": False, "knowledge_static": False, "evaluation_ready": False}


def test_record_of_a_report_is_json_with_every_finding() -> None:
    report = report_on(from_answers([*brand(CALM, 40), *["It is $5."] * 2]))
    read = json.loads(json.dumps(report.record()))
    assert read["count"] == 42
    assert read["verdict"] == "not enough"
    assert (read["enough"], read["clean"]) == (False, False)
    first = read["problems"][0]
    assert first["kind"] == "facts that change"
    assert [each["line"] for each in first["findings"]] == [41, 42]
    assert read["facts"][0] == {"line": 41, "kind": "price", "text": "$5"}
    assert len(read["checklist"]) == 10


def test_check_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no examples to check"):
        check([], lengths_of(varied(1)))


@pytest.mark.parametrize("name", ["lengths", "similarity", "style", "verdict", "volatile_facts"])
def test_examples_in_docstrings_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"finetune.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
