"""`twofold evaluate tickets`: whether an adapter turns messages into JSON of its schema."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from serving.cli.connection import CommandError
from serving.cli.options import add_profile, console, count, settings_of, write_json

if TYPE_CHECKING:
    from eval.intervals import Estimate

BAR = 0.95  # of the answers are valid


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this command takes."""
    parser.add_argument("--adapter", default="tickets", metavar="NAME", help="default: tickets")
    parser.add_argument(
        "--examples", type=count, metavar="N", help="only the first N messages (default all)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures and every answer")
    add_profile(parser)


def run(options: argparse.Namespace) -> int:
    """Ask the model in this process, print; exit with 1 when too few answers fit the schema."""
    from rich.progress import track

    from eval.tickets import VALID, fill_tickets, read_tasks, ticket_rows
    from serving.wiring import open_twofold

    tasks = read_tasks()[: options.examples]
    with open_twofold(settings_of(options)) as twofold:
        if not twofold.assistant.speaks:
            raise CommandError(
                "this profile only quotes: nothing writes tickets; set TWOFOLD_GENERATOR="
                "transformers and TWOFOLD_LANGUAGE_MODEL"
            )
        generator = twofold.assistant.writer.generator
        asking = fill_tickets(generator, tasks, adapter=options.adapter)
        filled = list(track(asking, "Asking", total=len(tasks), console=console(), transient=True))
    rows = ticket_rows(filled)
    _print(rows, options.adapter)
    if options.json:
        figures = {
            name: {"value": row.value, "interval_95": [row.low, row.high], "n": row.n}
            for name, row in rows.items()
        }
        answers = [item.record() for item in filled]
        write_json(options.json, {"figures": figures, "answers": answers})
    return int(rows[VALID].value < BAR)


def _print(rows: Mapping[str, Estimate], title: str) -> None:
    from rich.table import Table

    table = Table(title=title, box=None, pad_edge=False, title_justify="left")
    table.add_column("")
    for heading in ("n", "share", "95 % interval"):
        table.add_column(heading, justify="right")
    for name, row in rows.items():
        interval = f"{row.low:.3f} to {row.high:.3f}"
        table.add_row(name, str(row.n), f"{row.value:.3f}", interval)
    console().print(table)
