"""`twofold evaluate ladder`: answers as the model writes them, and as they are released."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from serving.cli.connection import CommandError
from serving.cli.options import add_profile, console, count, settings_of, write_json
from starter.bundle import read_questions

if TYPE_CHECKING:
    from eval.intervals import Estimate
    from eval.ladder import Pair

COLLECTIONS = ("policies", "notices")
MAX_NEW_TOKENS = 160


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this command takes."""
    parser.add_argument("--split", choices=("dev", "test"), default="test", help="default: test")
    parser.add_argument("--voice", metavar="NAME", help="an adapter; default: the base model")
    parser.add_argument(
        "--questions", type=count, metavar="N", help="the first N of each kind (default all)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures and every answer")
    add_profile(parser)


def run(options: argparse.Namespace) -> int:
    """Ask everything twice, in this process, and print both columns."""
    from rich.progress import track

    from eval.ladder import ask_pairs
    from retrieval.documents import Scope
    from serving.answers import Sampling
    from serving.wiring import open_twofold

    kinds = ("single", "multi", "unanswerable")
    chosen = [
        question
        for kind in kinds
        for question in [q for q in read_questions(split=options.split) if q.kind == kind][
            : options.questions
        ]
    ]
    with open_twofold(settings_of(options)) as twofold:
        if not twofold.assistant.speaks:
            raise CommandError(
                "this profile only quotes: there is nothing to check; set TWOFOLD_GENERATOR="
                "transformers and TWOFOLD_LANGUAGE_MODEL"
            )
        asking = ask_pairs(
            twofold.assistant,
            chosen,
            scope=Scope(collections=COLLECTIONS),
            adapter=options.voice,
            sampling=Sampling(max_new_tokens=MAX_NEW_TOKENS),
        )
        pairs = list(
            track(asking, "Asking twice", total=len(chosen), console=console(), transient=True)
        )
    rows = _rows(pairs)
    _print(rows, pairs)
    if options.json:
        figures = {
            name: [
                None if e is None else {"value": e.value, "interval_95": [e.low, e.high], "n": e.n}
                for e in columns
            ]
            for name, columns in rows.items()
        }
        write_json(options.json, {"figures": figures, "answers": [pair.record() for pair in pairs]})
    return 0


def _rows(pairs: Sequence[Pair]) -> dict[str, tuple[Estimate | None, Estimate]]:
    from eval.ladder import holds_fact, own_words, refused, share, wrong_numbers

    answerable = [pair for pair in pairs if pair.question.kind != "unanswerable"]
    absent = [pair for pair in pairs if pair.question.kind == "unanswerable"]
    answered = [pair for pair in pairs if not refused(pair.released)]
    own = [pair for pair in answered if own_words(pair.released)]
    rows: dict[str, tuple[Estimate | None, Estimate]] = {
        "holds the fact in 80 words, 3 cited": (
            share([holds_fact(pair.question, pair.unchecked) for pair in answerable]),
            share([holds_fact(pair.question, pair.released) for pair in answerable]),
        ),
        "answerable refused": (
            share([refused(pair.unchecked) for pair in answerable]),
            share([refused(pair.released) for pair in answerable]),
        ),
    }
    if absent:
        rows["unanswerable refused"] = (
            share([refused(pair.unchecked) for pair in absent]),
            share([refused(pair.released) for pair in absent]),
        )
    if answered:
        rows["answers in the model's own words"] = (
            None,
            share([own_words(pair.released) for pair in answered]),
        )
        rows["answers with a number that no cited passage holds"] = (
            share([bool(wrong_numbers(pair.unchecked)) for pair in answered]),
            share([bool(wrong_numbers(pair.released)) for pair in answered]),
        )
    if own:
        rows["own words that hold the fact"] = (
            None,
            share([holds_fact(pair.question, pair.released) for pair in own]),
        )
    return rows


def _print(rows: dict[str, tuple[Estimate | None, Estimate]], pairs: Sequence[Pair]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for heading in ("n", "ladder off", "ladder on", "95 % interval"):
        table.add_column(heading, justify="right")
    for name, (off, on) in rows.items():
        left = "" if off is None else f"{off.value:.3f}"
        table.add_row(name, str(on.n), left, f"{on.value:.3f}", f"{on.low:.3f} to {on.high:.3f}")
    out = console()
    out.print(table)
    for stage, title in (("first_token", "the model's first token"), ("first_text", "first text")):
        times = [p.released.timings_ms[stage] for p in pairs if stage in p.released.timings_ms]
        if times:
            out.print(
                f"{title}: median {statistics.median(times):.0f} ms after asking, n {len(times)}"
            )
