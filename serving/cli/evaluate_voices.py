"""`twofold evaluate voices`: whether the voices are told from each other and the base model."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from serving.cli.connection import connect
from serving.cli.options import add_profile, console, count, settings_of, write_json

if TYPE_CHECKING:
    from eval.intervals import Estimate

BAR = 0.95


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this command takes."""
    parser.add_argument(
        "--prompts", type=count, metavar="N", help="how many are asked in each voice (default all)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures and every answer")
    add_profile(parser)


def run(options: argparse.Namespace) -> int:
    """Ask, classify, print; exit with 1 when a voice is recognised less often than promised."""
    from rich.progress import track

    from eval.voices import (
        ask_voices,
        recognised_answers,
        recognised_writing,
        starter_prompts,
        starter_recogniser,
    )

    recogniser = starter_recogniser()
    prompts = starter_prompts()[: options.prompts]
    with connect(settings_of(options)) as client:
        asking = ask_voices(client, prompts, recogniser)
        total = len(prompts) * (len(recogniser.brands) + 1)
        spoken = list(track(asking, "Asking", total=total, console=console(), transient=True))
    written, answered = recognised_writing(recogniser), recognised_answers(spoken)
    _print("written by people, kept from training", written)
    _print("written by the model", answered)
    if options.json:
        rows = {"written": written, "answered": answered}
        figures = {
            name: {
                voice: {"value": row.value, "interval_95": [row.low, row.high], "n": row.n}
                for voice, row in found.items()
            }
            for name, found in rows.items()
        }
        write_json(options.json, {**figures, "answers": [item.record() for item in spoken]})
    missed = len(answered) <= len(recogniser.brands) or any(
        row.value < BAR for row in answered.values()
    )
    return int(missed)


def _print(title: str, rows: Mapping[str, Estimate]) -> None:
    from rich.table import Table

    table = Table(title=title, box=None, pad_edge=False, title_justify="left")
    table.add_column("")
    for heading in ("n", "recognised", "95 % interval"):
        table.add_column(heading, justify="right")
    for voice, row in rows.items():
        interval = f"{row.low:.3f} to {row.high:.3f}"
        table.add_row(voice, str(row.n), f"{row.value:.3f}", interval)
    console().print(table)
