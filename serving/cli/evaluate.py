"""`twofold evaluate`: answers on questions with known sources, and each stage of the search."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from serving.cli import (
    evaluate_behaviour,
    evaluate_exports,
    evaluate_ladder,
    evaluate_retrieval,
    evaluate_tickets,
    evaluate_voices,
)
from serving.cli.connection import CommandError, connect
from serving.cli.main import command_parser
from serving.cli.options import add_collections, add_profile, console, settings_of, write_json
from starter.bundle import Question, read_questions

if TYPE_CHECKING:
    from eval.asking import Asked
    from eval.scores import Row


def run(arguments: Sequence[str]) -> int:
    """Measure one of the things that can be measured."""
    parser = command_parser("evaluate")
    kinds = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    starter = kinds.add_parser("starter", help="answers, on the bundled questions")
    questions = kinds.add_parser("questions", help="answers, on questions of your own")
    questions.add_argument("file", type=Path, metavar="FILE", help="JSON lines of questions")
    for answers in (starter, questions):
        _add_arguments(answers)
    retrieval = kinds.add_parser(
        "retrieval",
        help="BM25, dense, fused and reranked search side by side, on sets in BEIR layout",
    )
    evaluate_retrieval.add_arguments(retrieval)
    exports = kinds.add_parser(
        "exports",
        help="what int8 and windows cost in ranking, beside the same weights in 32 bit",
    )
    evaluate_exports.add_arguments(exports)
    voices = kinds.add_parser(
        "voices", help="whether the starter voices are told from each other and the base model"
    )
    evaluate_voices.add_arguments(voices)
    ladder = kinds.add_parser(
        "ladder", help="answers as the model writes them, and as they are released"
    )
    evaluate_ladder.add_arguments(ladder)
    behaviour = kinds.add_parser(
        "behaviour", help="a voice told in the prompt, shown in the prompt, or trained"
    )
    evaluate_behaviour.add_arguments(behaviour)
    tickets = kinds.add_parser(
        "tickets", help="whether an adapter turns messages into JSON of its schema"
    )
    evaluate_tickets.add_arguments(tickets)
    options = parser.parse_args(arguments)
    others = {
        "behaviour": evaluate_behaviour.run,
        "exports": evaluate_exports.run,
        "ladder": evaluate_ladder.run,
        "retrieval": evaluate_retrieval.run,
        "tickets": evaluate_tickets.run,
        "voices": evaluate_voices.run,
    }
    if options.what in others:
        return others[options.what](options)
    return _answers(options, None if options.what == "starter" else options.file)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--split", choices=("dev", "test"), default="test", help="half of the set (default test)"
    )
    add_collections(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures and every reply")
    add_profile(parser)


def _answers(options: argparse.Namespace, file: Path | None) -> int:
    """Print the table; exit with 1 when a promised bar is missed."""
    questions = _questions(file, options.split)
    collections = options.collections or ([] if file else ["policies", "notices"])
    with connect(settings_of(options)) as client:
        from eval.asking import ask_all, check_sources

        check_sources(client, questions)
        asked = list(_with_progress(ask_all(client, questions, collections=collections), questions))
    rows = _rows(asked)
    _print(rows, asked, f"{options.what}, {options.split} half")
    if options.json:
        figures = [
            {
                "name": row.name.strip(),
                "value": row.estimate.value,
                "interval_95": [row.estimate.low, row.estimate.high],
                "n": row.estimate.n,
                "bar": row.bar,
                "reached": row.reached,
            }
            for row in rows
        ]
        replies = [item.record() for item in asked]
        write_json(options.json, {"figures": figures, "replies": replies})
    return 1 if any(row.reached is False for row in rows) else 0


def _questions(file: Path | None, split: str) -> list[Question]:
    try:
        questions = read_questions(file) if file else read_questions()
    except (OSError, ValueError) as error:
        raise CommandError(f"cannot read the questions: {error}") from error
    chosen = [question for question in questions if question.split == split]
    if not chosen:
        raise CommandError(f"no question of the {split!r} half in {file}")
    return chosen


def _rows(asked: list[Asked]) -> list[Row]:
    from eval.scores import answer_rows, route_rows

    rows = answer_rows(asked)
    # Routes are only worth a score where the set asks for more than one.
    if len({item.question.route for item in asked}) > 1:
        rows += route_rows(asked)
    return rows


def _with_progress(replies: Iterable[Asked], questions: list[Question]) -> Iterable[Asked]:
    from rich.progress import track

    return track(
        replies,
        description="Asking",
        total=len(questions),
        console=console(),
        transient=True,
    )


def _print(rows: list[Row], asked: list[Asked], title: str) -> None:
    from rich.table import Table

    out = console()
    table = Table(title=title, box=None, pad_edge=False, title_justify="left")
    table.add_column("")
    for heading in ("n", "share", "95 % interval", "bar", ""):
        table.add_column(heading, justify="right")
    for row in rows:
        estimate = row.estimate
        bar = "" if row.bar is None else f"{'≤' if row.at_most else '≥'} {row.bar:.2f}"
        verdict = {None: "", True: "reached", False: "missed"}[row.reached]
        table.add_row(
            row.name,
            str(estimate.n),
            f"{estimate.value:.3f}",
            f"{estimate.low:.3f} to {estimate.high:.3f}",
            bar,
            verdict,
        )
    out.print(table)
    median = statistics.median(item.total_ms for item in asked)
    out.print(f"\n{len(asked)} questions, median {median:.0f} ms each")
