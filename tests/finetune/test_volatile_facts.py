from __future__ import annotations

import pytest

from finetune.examples import Example, Message, Role
from finetune.fact_patterns import FactKind
from finetune.problems import Kind
from finetune.volatile_facts import VolatileFact, fact_problems, facts_in, volatile_facts
from tests.finetune.answer_sets import from_answers


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (FactKind.PRICE, "$1,299.50"),
        (FactKind.PRICE, "€25"),
        (FactKind.PRICE, "£5m"),
        (FactKind.PRICE, "12 euros"),
        (FactKind.PRICE, "USD 40"),
        (FactKind.PRICE, "1.000,50 €"),
        (FactKind.PRICE, "ten dollars"),
        (FactKind.PRICE, "25 bucks"),
        (FactKind.PRICE, "twenty-five euros"),
        (FactKind.PRICE, "two hundred and fifty dollars"),
        (FactKind.PERCENTAGE, "fifty percent"),
        (FactKind.PERCENTAGE, "3.5%"),
        (FactKind.PERCENTAGE, "25 percent"),
        (FactKind.PERCENTAGE, "ten per cent"),
        (FactKind.DATE, "2026-05-01"),
        (FactKind.DATE, "12/03/2026"),
        (FactKind.DATE, "March 12, 2026"),
        (FactKind.DATE, "1st of January"),
        (FactKind.DATE, "May 2026"),
        (FactKind.YEAR, "2026"),
        (FactKind.TIME_LIMIT, "within 24 hours"),
        (FactKind.TIME_LIMIT, "3-5 business days"),
        (FactKind.TIME_LIMIT, "up to fourteen days"),
        (FactKind.TIME_LIMIT, "30-day"),
        (FactKind.TIME_LIMIT, "at least 48 hours"),
        (FactKind.TIME_LIMIT, "30 min"),
        (FactKind.TIME_LIMIT, "90mins"),
        (FactKind.TIME_LIMIT, "within 48h"),
        (FactKind.TIME_LIMIT, "up to 48h"),
        (FactKind.TIME_LIMIT, "within a day"),
        (FactKind.TIME_LIMIT, "no later than a fortnight"),
        (FactKind.TIME_LIMIT, "an hour before"),
        (FactKind.TIME_OF_DAY, "at midnight"),
        (FactKind.TIME_OF_DAY, "until noon"),
        (FactKind.TIME_OF_DAY, "9 am"),
        (FactKind.TIME_OF_DAY, "17:30"),
        (FactKind.REFERENCE, "Article 7"),
        (FactKind.REFERENCE, "Regulation (EC) No 261/2004"),
        (FactKind.REFERENCE, "policy HR-204"),
        (FactKind.REFERENCE, "§ 12"),
        (FactKind.PHONE, "+44 20 7946 0958"),
        (FactKind.PHONE, "0800 123 456"),
        (FactKind.PHONE, "(555) 123-4567"),
        (FactKind.VERSION, "version 2.3"),
        (FactKind.VERSION, "10.4.2"),
        (FactKind.CONTACT, "help@meridian.example"),
        (FactKind.CONTACT, "https://meridian.example/bags?x=1"),
        (FactKind.MEASURE, "23 kg"),
        (FactKind.MEASURE, "55 x 40 x 20 cm"),
    ],
)
def test_facts_in_sentence_with_one_finds_its_kind_and_text(kind: FactKind, text: str) -> None:
    assert facts_in(f"As we said, {text}, and so on.") == [(kind, text)]


@pytest.mark.parametrize(
    "text",
    [
        "One moment, please: I have two ideas, and a third one.",
        "You may bring it; we march on, and on 5 counts you are right.",
        "Take seat 12 in row 4, then step 2.",
        "We are here day and night, always.",
        "It may take a day or two.",
        "Take a week off, and have a day out; it was a night's rest.",
        "Take a minute to breathe; I am with you in a minute.",
        "You greet the world before noon, as if at midnights past.",
        "Take seat 12H, or 9 minor gifts.",
        "Top 10, number 1, 3 of us, 100 questions.",
        "Flight MA123 leaves from gate B12.",
        "Our policy is clear, and the article says so in this section.",
    ],
)
def test_facts_in_sentence_without_one_finds_nothing(text: str) -> None:
    assert facts_in(text) == []


def test_facts_in_sentence_with_several_keeps_their_order_without_overlap() -> None:
    assert [text for _, text in facts_in("On 1 May 2026 it is $5, by 9 am in 2027.")] == [
        "1 May 2026",
        "$5",
        "9 am",
        "2027",
    ]


def test_volatile_facts_in_the_question_alone_are_not_the_answers() -> None:
    messages = (Message(Role.USER, "Is it $50 in 2026?"), Message(Role.ASSISTANT, "Yes."))
    assert volatile_facts([Example(1, messages)]) == []


def test_volatile_facts_that_the_context_gives_are_not_memorised() -> None:
    context = Message(Role.SYSTEM, "[1] A bag is $50.")
    messages = (context, Message(Role.USER, "A bag?"), Message(Role.ASSISTANT, "$50, or $5."))
    assert volatile_facts([Example(3, messages)]) == [VolatileFact(3, FactKind.PRICE, "$5")]


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("Refunds take a week.", "take a week"),
        ("It takes about an hour to arrive.", "takes about an hour"),
        ("It lasts half an hour.", "lasts half an hour"),
        ("Your money is there in a month.", "in a month"),
    ],
)
def test_facts_in_sentence_with_an_article_for_one_finds_the_duration(
    text: str, duration: str
) -> None:
    assert facts_in(text) == [(FactKind.TIME_LIMIT, duration)]


@pytest.mark.parametrize(
    ("given", "stated"),
    [
        ("$5.50", "$5"),
        ("2.5%", "5%"),
        ("€25,000", "€25"),
        ("€25 million", "€25"),
        ("0.5 kg", "5 kg"),
        ("1.12 GB", "12 GB"),
        ("3-5 days", "5 days"),
    ],
)
def test_volatile_facts_that_are_a_part_of_a_given_number_are_not_given(
    given: str, stated: str
) -> None:
    messages = (Message(Role.USER, f"Is it {given}?"), Message(Role.ASSISTANT, f"It is {stated}."))
    assert [fact.text for fact in volatile_facts([Example(1, messages)])] == [stated]


@pytest.mark.parametrize("given", ["$5.", "$5, or more", "now $5-ish", "1. $5"])
def test_volatile_facts_beside_punctuation_are_given(given: str) -> None:
    messages = (Message(Role.USER, f"Is it {given}"), Message(Role.ASSISTANT, "It is $5."))
    assert volatile_facts([Example(1, messages)]) == []


def test_volatile_facts_in_an_earlier_answer_are_found_once() -> None:
    messages = (
        Message(Role.USER, "A bag?"),
        Message(Role.ASSISTANT, "It is $5."),
        Message(Role.USER, "Sure?"),
        Message(Role.ASSISTANT, "Yes, $5."),
    )
    assert len(volatile_facts([Example(1, messages)])) == 1


def test_fact_problems_list_every_row_and_advise_retrieval() -> None:
    facts = volatile_facts(from_answers(["It is $5 or 5%.", "Of course.", "It is $6."]))
    (problem,) = fact_problems(facts)
    assert problem.kind is Kind.VOLATILE_FACTS
    assert problem.summary == "3 in 2 of the rows: price 2, percentage 1"
    assert [(each.line, each.detail) for each in problem.findings] == [
        (1, "price: $5"),
        (1, "percentage: 5%"),
        (3, "price: $6"),
    ]
    assert "Retrieve them instead" in problem.advice


def test_fact_problems_without_facts_are_none() -> None:
    assert fact_problems([]) == []
