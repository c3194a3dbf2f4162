"""Answers against the tickets that they should be: valid, right field by field, exact."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from eval.tickets import EXACT, VALID, Filled, Task, fill_tickets, read_tasks, read_ticket
from eval.tickets import ticket_rows as rows_of
from serving.cli import evaluate_tickets
from serving.cli.connection import CommandError
from serving.generation import Generator, ScriptedGenerator
from starter.tickets.schema import SYSTEM, Ticket

RIGHT = (
    '{"intent":"lost","urgent":true,"customer":{"name":"Ada Pell","booking":"TQ-4821"},'
    '"items":[{"what":"jacket","count":2},{"what":"pram","count":1}]}'
)
TASK = Task(SYSTEM, "Ada Pell, #TQ-4821. You lost …", Ticket.model_validate_json(RIGHT))


def filled(*texts: str) -> list[Filled]:
    return [Filled(TASK, text, read_ticket(text)) for text in texts]


def values(*texts: str) -> dict[str, float]:
    return {name: row.value for name, row in rows_of(filled(*texts)).items()}


def test_right_answer_counts_everywhere_whatever_its_spaces() -> None:
    spaced = json.dumps(json.loads(RIGHT), indent=1)
    assert set(values(RIGHT, spaced).values()) == {1.0}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "You lost a jacket.",
        RIGHT[:-1],
        f"{RIGHT} Anything else?",
        f"```json\n{RIGHT}\n```",
        RIGHT.replace('"lost"', '"theft"'),
        RIGHT.replace("true", "1"),
        RIGHT.replace('"urgent":true,', ""),
        RIGHT.replace('"items"', '"things"'),
        "null",
    ],
)
def test_answer_that_is_no_ticket_has_nothing_right(text: str) -> None:
    assert set(values(text).values()) == {0.0}


@pytest.mark.parametrize(
    ("was", "becomes", "field"),
    [
        ('"lost"', '"refund"', "intent"),
        ("true", "false", "urgent"),
        ('"Ada Pell"', "null", "name"),
        ("TQ-4821", "TQ-4812", "booking"),
        ('"count":2', '"count":3', "items"),
        (',{"what":"pram","count":1}', "", "items"),
    ],
)
def test_one_wrong_field_costs_itself_and_the_exact_match(
    was: str, becomes: str, field: str
) -> None:
    found = values(RIGHT.replace(was, becomes))
    assert {name for name, value in found.items() if value == 0} == {f"{field} right", EXACT}
    assert found[VALID] == 1


def test_shares_are_of_all_messages_with_their_interval() -> None:
    rows = rows_of(filled(RIGHT, RIGHT, RIGHT, "No."))
    assert rows["intent right"].value == rows[EXACT].value == 0.75
    assert rows[VALID].n == 4
    assert 0 < rows[VALID].low < 0.75 < rows[VALID].high < 1


def test_message_is_asked_under_its_system_turn_greedily_with_the_adapter() -> None:
    generator = ScriptedGenerator(RIGHT, adapters=["tickets"])
    (found,) = fill_tickets(generator, [TASK], adapter="tickets")

    (request,) = generator.requests
    assert request.adapter == "tickets"
    assert request.sampling.temperature == 0
    assert request.prompt.system == SYSTEM
    assert [message.content for message in request.prompt.messages] == [TASK.message]
    assert found.ticket == TASK.expected
    assert found.record()["exact"] is True


def test_tasks_are_the_validation_examples() -> None:
    tasks = read_tasks()
    assert len(tasks) == 150
    assert {task.system for task in tasks} == {SYSTEM}


@pytest.fixture
def options(tmp_path: Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    evaluate_tickets.add_arguments(parser)
    return parser.parse_args(["--examples", "3", "--json", str(tmp_path / "result.json")])


def install(monkeypatch: pytest.MonkeyPatch, generator: Generator) -> None:
    @contextmanager
    def opened(settings: Any) -> Iterator[Any]:
        writer = SimpleNamespace(generator=generator)
        yield SimpleNamespace(assistant=SimpleNamespace(writer=writer, speaks=generator.speaks))

    monkeypatch.setattr("serving.wiring.open_twofold", opened)


@pytest.mark.parametrize(("text", "status"), [(RIGHT, 0), (RIGHT[:-1], 1)])
def test_command_fails_when_too_few_answers_are_valid(
    text: str,
    status: int,
    options: argparse.Namespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    install(monkeypatch, ScriptedGenerator(text, adapters=["tickets"]))

    assert evaluate_tickets.run(options) == status
    written = json.loads(options.json.read_text())
    assert written["figures"][VALID]["value"] == 1 - status
    assert len(written["answers"]) == 3
    assert EXACT in capsys.readouterr().out


def test_profile_that_only_quotes_is_refused(
    options: argparse.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = ScriptedGenerator("")
    generator.speaks = False
    install(monkeypatch, generator)

    with pytest.raises(CommandError, match="TWOFOLD_LANGUAGE_MODEL"):
        evaluate_tickets.run(options)
