"""`twofold decide analyze`: six answers in, the whole report out."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from router.analysis import analyse
from router.errors import UseCaseError
from router.latency_budget import ASSUMED, read_result
from router.prices import Mode, Prices, default_prices, read_prices
from router.use_case import READERS, Readiness, UseCase, read_use_case
from serving.cli.asking import NoAnswerError, ask
from serving.cli.options import print_json

if TYPE_CHECKING:
    from argparse import ArgumentParser


@dataclass(frozen=True, slots=True)
class Asked:
    """One of the six: what the flag's help says, and the question with its reason."""

    help: str
    text: str
    why: str
    example: str


QUESTIONS = {
    "knowledge_changes": Asked(
        "how often what it must know changes: daily, weekly, monthly, every two weeks, never …",
        "How often does what it must know change?",
        "What changes within a month is retrieved; trained, it would be out of date.",
        "weekly, every two weeks, never",
    ),
    "needs_citations": Asked(
        "yes or no: must answers name their sources",
        "Must answers name their sources?",
        "Only what was retrieved can be cited.",
        "yes or no",
    ),
    "style_requirements": Asked(
        "low, medium or high: how much a consistent voice matters",
        "How much does a consistent voice matter?",
        "Prompts reach a medium style; a high one is trained.",
        "low, medium or high",
    ),
    "training_data": Asked(
        "how many examples there are to train on, such as 200 or `1,000 examples`",
        "How many examples of good answers do you have?",
        "An adapter needs 100, and is good from 500.",
        "200 examples",
    ),
    "latency_requirement": Asked(
        "the longest an answer may take, with its unit: 50ms, 1.5 s; or none",
        "How long may an answer take?",
        "Under 100 ms there is no time to retrieve.",
        "2s, 50ms, none",
    ),
    "monthly_queries": Asked(
        "queries a month, such as 100000 or 100k",
        "How many queries a month?",
        "They decide what it costs, and whether a machine of your own pays.",
        "100,000",
    ),
}


def add_arguments(parser: ArgumentParser, *, answers_required: bool) -> None:
    """What this command takes; the six answers are required unless they are asked for."""
    six = parser.add_argument_group("the six answers")
    data = six.add_mutually_exclusive_group(required=answers_required)
    for name, asked in QUESTIONS.items():
        group = data if name == "training_data" else six
        required = answers_required and group is six
        group.add_argument(_flag(name), metavar="ANSWER", required=required, help=asked.help)
    data.add_argument(
        "--examples",
        type=Path,
        metavar="FILE",
        help="instead of a number: the examples themselves, checked as `twofold train check` does",
    )
    compliance = parser.add_argument_group("compliance")
    compliance.add_argument(
        "--data-must-not-enter-weights",
        action="store_true",
        help="patient records, say: nothing may be trained on them",
    )
    compliance.add_argument(
        "--no-external-data-access",
        action="store_true",
        help="nothing may be looked up outside the model",
    )
    parser.add_argument(
        "--prices",
        type=Path,
        metavar="FILE.toml",
        help="your prices, speeds and hours; `twofold decide prices` prints the file to change",
    )
    parser.add_argument(
        "--price-mode",
        choices=list(Mode),
        help="who runs the adapter's model; default: what the price file says (self_hosted)",
    )
    parser.add_argument(
        "--bench",
        type=Path,
        metavar="FILE",
        help="latencies measured here, by `twofold bench retrieval --json FILE`",
    )
    parser.add_argument(
        "--interactive", action="store_true", help="ask for what no flag says, one by one"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write a page with the flow chart and cost plots"
    )


def run(options: argparse.Namespace, parser: ArgumentParser) -> int:
    """Exit status 0 also for a conflict, which is a finding; 2 for what isn't understood."""
    prices = _prices(options)
    budget = read_result(options.bench) if options.bench else ASSUMED
    case = _use_case(options, parser)
    analysis = analyse(case, prices, budget)
    if options.html:
        from router.decision_page import write_page

        write_page(analysis, options.html)
    if options.json:
        print_json(analysis.record())
    else:
        from serving.cli.decide_report import print_analysis

        print_analysis(analysis)
    return 0


def _prices(options: argparse.Namespace) -> Prices:
    prices = read_prices(options.prices) if options.prices else default_prices()
    return replace(prices, mode=Mode(options.price_mode)) if options.price_mode else prices


def _use_case(options: argparse.Namespace, parser: ArgumentParser) -> UseCase:
    given = {name: getattr(options, name) for name in QUESTIONS}
    answers = {name: word for name, word in given.items() if word is not None}
    try:
        return read_use_case(
            answers if not options.interactive else _completed(answers, options, parser),
            readiness=_readiness(options.examples) if options.examples else None,
            data_must_not_enter_weights=options.data_must_not_enter_weights,
            no_external_data_access=options.no_external_data_access,
        )
    except UseCaseError as error:
        lines = (f"argument {_flag(name)}: {text}" for name, text in error.problems.items())
        parser.error("\n  ".join(lines))


def _completed(
    answers: dict[str, str], options: argparse.Namespace, parser: ArgumentParser
) -> dict[str, str]:
    """The answers, and those to the questions that no flag answers."""
    complete = dict(answers)
    for name, asked in QUESTIONS.items():
        if name in complete or (name == "training_data" and options.examples):
            continue
        try:
            complete[name] = ask(asked.text, asked.why, _understood(name), example=asked.example)
        except NoAnswerError:
            parser.error(f"the input ended before an answer to {_flag(name)}")
    return complete


def _understood(name: str) -> Callable[[str], str]:
    """Reads an answer to see that it can be read, and gives it back as it was written."""

    def check(word: str) -> str:
        READERS[name](word)
        return word

    return check


def _readiness(path: Path) -> Readiness:
    from finetune.example_files import read_examples
    from finetune.lengths import CONTEXT_TOKENS, lengths_of
    from finetune.readiness import check
    from serving.readiness_input import readiness_of

    examples = read_examples(path)
    lengths = lengths_of(examples, tokenizer=None, max_tokens=CONTEXT_TOKENS)
    report = check(examples, lengths)
    return readiness_of(path.name, report.count, report.problems)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
