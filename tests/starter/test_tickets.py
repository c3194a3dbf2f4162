"""The starter tickets: valid, reproducible, and nobody of the validation messages trained on."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

import pytest
from pydantic import ValidationError

from finetune.configuration import load_configuration
from starter.tickets.schema import SYSTEM, Ticket
from starter.tickets.wordings import read_wordings
from starter.tickets.write_tickets import EXAMPLES, FOLDER, files

SPLITS = tuple(EXAMPLES)


@dataclass(frozen=True, slots=True)
class Row:
    """One example, read from a file as it stands."""

    system: str
    user: str
    answer: str

    @property
    def ticket(self) -> Ticket:
        return Ticket.model_validate_json(self.answer)


def read(split: str) -> list[Row]:
    rows = []
    for line in (FOLDER / f"{split}.jsonl").read_text(encoding="utf-8").splitlines():
        messages = json.loads(line)["messages"]
        assert [message["role"] for message in messages] == ["system", "user", "assistant"]
        rows.append(Row(*(message["content"] for message in messages)))
    return rows


@pytest.fixture(scope="module")
def train() -> list[Row]:
    return read("train")


@pytest.fixture(scope="module")
def validation() -> list[Row]:
    return read("validation")


@pytest.fixture(scope="module")
def rows(train: list[Row], validation: list[Row]) -> list[Row]:
    return train + validation


def test_files_are_what_the_script_writes() -> None:
    for name, text in files().items():
        assert (FOLDER / name).read_bytes() == text.encode("utf-8"), name


@pytest.mark.parametrize("split", SPLITS)
def test_counts_are_those_that_the_readme_names(split: str) -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    verb = {"train": "to train", "validation": "to validate"}[split]
    assert f"{len(read(split))} {verb}" in readme
    assert len(read(split)) == EXAMPLES[split]


def test_readme_shows_an_example_that_is_trained_on(train: list[Row]) -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    shown = json.loads(readme.partition("```json\n")[2].partition("```")[0])["messages"]
    assert Row(*(message["content"] for message in shown)) in train


def test_answers_are_valid_and_compact_in_the_order_of_the_schema(rows: list[Row]) -> None:
    assert [row.answer for row in rows if row.ticket.compact() != row.answer] == []
    assert {row.system for row in rows} == {SYSTEM}


def test_messages_are_unique_and_short(rows: list[Row]) -> None:
    assert len({row.user for row in rows}) == len(rows)
    assert max(len(row.user.split()) for row in rows) <= 60
    assert [row.user for row in rows if "{" in row.user or "  " in row.user] == []


def test_no_name_or_booking_of_validation_is_trained_on(
    train: list[Row], validation: list[Row]
) -> None:
    trained = " ".join(row.user for row in train)
    for customer in (row.ticket.customer for row in validation):
        if customer.name is not None:
            assert customer.name.split()[-1] not in trained.replace(".", " ").split(), customer
            assert customer.name not in trained, customer
        if customer.booking is not None:
            assert customer.booking not in trained, customer


def test_tickets_say_what_the_message_says_of_the_customer(rows: list[Row]) -> None:
    for row in rows:
        customer = row.ticket.customer
        assert customer.name is None or customer.name in row.user, row
        assert ("#" in row.user) == (customer.booking is not None), row
        assert customer.booking is None or f"#{customer.booking}" in row.user, row


def test_items_stand_in_the_order_of_the_message(rows: list[Row]) -> None:
    for row in rows:
        places = [row.user.index(item.what) for item in row.ticket.items]
        assert places == sorted(places), row


@pytest.mark.parametrize("split", SPLITS)
def test_a_quarter_lacks_a_name_or_a_booking(split: str) -> None:
    customers = [row.ticket.customer for row in read(split)]
    lacking = sum(None in (customer.name, customer.booking) for customer in customers)
    assert 0.2 <= lacking / len(customers) <= 0.3


@pytest.mark.parametrize("split", SPLITS)
def test_every_intent_and_number_of_items_occurs(split: str) -> None:
    tickets = [row.ticket for row in read(split)]
    intents = Counter(ticket.intent for ticket in tickets)
    assert len(intents) == 6
    assert min(intents.values()) >= 0.15 * len(tickets)
    assert {len(ticket.items) for ticket in tickets} == {0, 1, 2, 3}
    assert {ticket.urgent for ticket in tickets} == {True, False}


def test_templates_are_varied() -> None:
    templates = [template.text for template in read_wordings().templates]
    assert len(set(templates)) == len(templates) == 48


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ('"lost"', '"stolen"'),
        ("false", '"no"'),
        ('"count":2', '"count":0'),
        ('"count":2', '"count":"2"'),
        ('"KV-5577"', '"KV5577"'),
        ('"urgent":false,', ""),
        ('"urgent"', '"mood":"calm","urgent"'),
    ],
)
def test_answer_that_departs_from_the_schema_is_refused(was: str, becomes: str) -> None:
    answer = (
        '{"intent":"lost","urgent":false,"customer":{"name":null,"booking":"KV-5577"},'
        '"items":[{"what":"jacket","count":2}]}'
    )
    Ticket.model_validate_json(answer)
    with pytest.raises(ValidationError):
        Ticket.model_validate_json(answer.replace(was, becomes))


def test_configuration_is_read() -> None:
    configuration = load_configuration(FOLDER / "tickets.toml")
    assert configuration.name == "tickets"
    assert configuration.train == FOLDER / "train.jsonl"
    assert configuration.validation == FOLDER / "validation.jsonl"
    assert (configuration.max_tokens, configuration.learning_rate) == (320, 1e-3)
