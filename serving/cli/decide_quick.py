"""`twofold decide quick`: six questions in order, and the first that decides."""

from __future__ import annotations

import argparse
import sys

from router.quick import (
    QUESTIONS,
    MissingAnswerError,
    QuickQuestion,
    QuickResult,
    decide_quickly,
    from_answers,
)
from router.values import ValueFormatError
from serving.cli.asking import NoAnswerError, ask
from serving.cli.options import console, print_json

STYLE = "needs-style"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this command takes."""
    for question in QUESTIONS:
        parser.add_argument(
            f"--{question.name}", dest=question.name, metavar="YES|NO", help=question.text
        )
    parser.add_argument("--json", action="store_true", help="print the advice as JSON")


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Ask what no flag answers, in a terminal; elsewhere a missing answer is wrong usage."""
    answers = _given(options, parser)
    known = from_answers(answers)

    def answer(question: QuickQuestion) -> bool:
        if question.name in answers or not sys.stdin.isatty():
            return known(question)
        return ask(question.text, question.why, question.read, example="yes or no")

    try:
        result = decide_quickly(answer, style_given=answers.get(STYLE))
    except MissingAnswerError as error:
        parser.error(f"--{error.name} is missing: without a terminal, nobody can be asked")
    except NoAnswerError as error:
        parser.error(f"the input ended before an answer to: {error}")
    if options.json:
        print_json(result.record())
    else:
        _print(result)
    return 0


def _given(options: argparse.Namespace, parser: argparse.ArgumentParser) -> dict[str, bool]:
    answers = {}
    for question in QUESTIONS:
        word = getattr(options, question.name)
        if word is not None:
            try:
                answers[question.name] = question.read(word)
            except ValueFormatError as error:
                parser.error(f"argument --{question.name}: {error}")
    return answers


def _print(result: QuickResult) -> None:
    out = console()
    question = QUESTIONS[result.decided_by - 1].text
    out.print(f"[bold]{result.advice}[/bold]: {result.because}.")
    out.print(f"Decided by question {result.decided_by} of {len(QUESTIONS)}: {question}")
    if result.note:
        out.print(f"{result.note}.")
