from __future__ import annotations

from finetune.duplicates import duplicate_problems, leakage_problems
from finetune.examples import Example, Message, Role
from finetune.problems import Kind
from tests.finetune.answer_sets import from_answers, varied

LONG = "We will look for your bag at once and write to you as soon as we know where it is today."


def example(line: int, question: str, answer: str) -> Example:
    return Example(line, (Message(Role.USER, question), Message(Role.ASSISTANT, answer)))


def test_duplicates_that_differ_in_case_and_punctuation_are_exact() -> None:
    examples = [example(1, "My bag?", LONG), example(2, "MY BAG", LONG.upper() + "!!")]
    (problem,) = duplicate_problems(examples)
    assert problem.kind is Kind.EXACT_DUPLICATES
    assert [(each.line, each.detail) for each in problem.findings] == [(2, "the same as row 1")]


def test_duplicates_that_differ_in_a_word_are_near() -> None:
    examples = [
        example(1, "My bag?", LONG),
        example(2, "My bag?", "No."),
        example(3, "My bag?", LONG.replace("today", "now")),
    ]
    (problem,) = duplicate_problems(examples)
    assert problem.kind is Kind.NEAR_DUPLICATES
    assert [each.line for each in problem.findings] == [3]
    assert problem.findings[0].detail.endswith("% the same as row 1")


def test_duplicates_with_a_shared_system_message_alone_are_none() -> None:
    system = Message(Role.SYSTEM, LONG * 5)
    examples = [
        Example(each.line, (system, *each.messages))
        for each in from_answers(["Yes, gladly.", "No, sorry.", "🎉", "✈️"])
    ]
    assert duplicate_problems(examples) == []


def test_duplicates_of_many_rows_nearly_the_same_are_each_found() -> None:
    examples = [example(line, f"Bag {line}?", f"{LONG} {line}") for line in range(1, 201)]
    (problem,) = duplicate_problems(examples)
    assert [each.line for each in problem.findings] == list(range(2, 201))


def test_duplicates_of_different_examples_are_none() -> None:
    assert duplicate_problems(varied(200)) == []


def test_leakage_of_a_question_with_another_answer_is_found() -> None:
    train = [example(4, "Where is my bag?", "Here."), example(5, "And my hat?", "There.")]
    validation = [example(9, "where is my BAG", "We do not know.")]
    (problem,) = leakage_problems(train, validation)
    assert problem.kind is Kind.LEAKAGE
    assert [(each.line, each.detail) for each in problem.findings] == [
        (4, "asks what row 9 of the validation file asks")
    ]


def test_leakage_of_a_nearly_equal_example_is_found() -> None:
    train = [example(1, "Lost?", LONG), example(2, "Hat?", "There.")]
    validation = [example(9, "Gone?", LONG)]
    (problem,) = leakage_problems(train, validation)
    assert [each.line for each in problem.findings] == [1]
    assert "row 9 of the validation file" in problem.findings[0].detail


def test_leakage_without_common_rows_or_without_validation_is_none() -> None:
    train = [example(1, "Lost?", LONG), example(2, "Lost?", LONG)]
    assert leakage_problems(train, [example(1, "Open?", "Yes.")]) == []
    assert leakage_problems(train, []) == []
