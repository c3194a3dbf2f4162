"""`twofold evaluate behaviour`: a voice told, shown or trained, side by side."""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from serving.cli.connection import CommandError
from serving.cli.evaluate_ladder import COLLECTIONS, MAX_NEW_TOKENS
from serving.cli.options import add_profile, console, count, settings_of, write_json
from starter import bundle

if TYPE_CHECKING:
    from eval.behaviour import Method, Told
    from eval.intervals import Estimate
    from serving.wiring import Twofold

SHOWN_FROM = 80  # of the voice's examples: fewer than what an adapter is trained on


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this command takes."""
    parser.add_argument(
        "--voice", choices=("meridian", "skylark"), default="skylark", help="default: skylark"
    )
    parser.add_argument(
        "--questions", type=count, default=40, metavar="N", help="questions of fact (default 40)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures and every answer")
    add_profile(parser)


def run(options: argparse.Namespace) -> int:
    """Ask every question three ways, in this process, and print the table."""
    from eval.behaviour import method_rows
    from serving.wiring import open_twofold

    with open_twofold(settings_of(options)) as twofold:
        if not twofold.assistant.speaks:
            raise CommandError("this profile only quotes; one with a model is `starter-model`")
        if options.voice not in twofold.assistant.writer.generator.adapters():
            raise CommandError(
                f"no adapter {options.voice!r} is active for this profile's language model: "
                f"`twofold train --config starter/voices/{options.voice}.toml`, then "
                f"`twofold adapters promote {options.voice}@1`"
            )
        told = _ask(twofold, options.voice, options.questions)
    rows = method_rows(told)
    _print(rows, told)
    if options.json:
        figures = {
            method: {
                name: {"value": e.value, "interval_95": [e.low, e.high], "n": e.n}
                for name, e in columns.items()
            }
            for method, columns in rows.items()
        }
        write_json(options.json, {"figures": figures, "answers": [item.record() for item in told]})
    return 0


def _ask(twofold: Twofold, voice: str, number: int) -> list[Told]:
    from rich.progress import track

    from eval.behaviour import Method, Taught, ask_methods
    from eval.voices import starter_recogniser
    from retrieval.documents import Scope
    from serving.answers import Sampling
    from serving.voices import Voices

    questions = [q for q in bundle.read_questions(split="test") if q.kind == "single"][:number]
    with tempfile.TemporaryDirectory() as folder:
        name = f"{voice}.jsonl"
        lines = (bundle.VOICES / f"{voice}.train.jsonl").read_text(encoding="utf-8").splitlines()
        (Path(folder) / name).write_text("\n".join(lines[:SHOWN_FROM]) + "\n", encoding="utf-8")
        asking = ask_methods(
            twofold.assistant,
            questions,
            Taught(voice, Voices(Path(folder), twofold.embedder), starter_recogniser()),
            scope=Scope(collections=COLLECTIONS),
            sampling=Sampling(max_new_tokens=MAX_NEW_TOKENS),
        )
        total = len(questions) * len(Method)
        return list(track(asking, "Asking", total=total, console=console(), transient=True))


def _print(rows: Mapping[Method, Mapping[str, Estimate]], told: Sequence[Told]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for heading in ("n", "voice", "fact", "both", "95 % interval", "prompt tokens", "written in"):
        table.add_column(heading, justify="right")
    for method, columns in rows.items():
        own = [item for item in told if item.method is method]
        both = columns["both"]
        table.add_row(
            method,
            str(both.n),
            *(f"{columns[name].value:.3f}" for name in ("voice", "fact", "both")),
            f"{both.low:.3f} to {both.high:.3f}",
            f"{statistics.median(item.prompt_tokens for item in own):.0f}",
            f"{statistics.median(item.generate_ms for item in own):.0f} ms",
        )
    console().print(table)
