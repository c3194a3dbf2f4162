"""`twofold ingest`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx

from serving.cli.connection import CommandError, checked, connect
from serving.cli.local_files import LocalFile, Root
from serving.cli.main import command_parser
from serving.cli.options import add_profile, console, print_json, settings_of
from serving.cli.sending import Result, Sender
from serving.cli.sync import Plan, plan_sync


def run(arguments: Sequence[str]) -> int:
    """Send every file; name what could not be read; go on with the others."""
    options = _parse(arguments)
    collection = (options.collection or "").strip() or None
    roots = [Root(path, collection) for path in options.paths]
    files = [file for root in roots for file in _files(root, options)]
    with connect(settings_of(options)) as client:
        plan = Plan(files)
        if options.sync:
            listed = checked(client.get("/v1/documents"))["data"]
            plan = plan_sync(roots, files, listed, groups=options.groups)
        sender = Sender(client, plan, groups=options.groups)
        try:
            sender.run(quiet=options.json)
        except KeyboardInterrupt:
            sys.stderr.write(f"{_summary(sender.result, options)}; run it again to go on\n")
            raise
        except httpx.TransportError as error:
            raise CommandError(
                f"the server ended ({error}); {_summary(sender.result, options)} before; run the "
                "command again to go on"
            ) from error
    if options.json:
        print_json(sender.result.json())
    else:
        _print(sender.result, options)
    return 0 if sender.result.done or not sender.result.failed else 1


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = command_parser("ingest")
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="a file, a folder, or a .jsonl(.gz) bundle of objects with path and text",
    )
    parser.add_argument(
        "--collection",
        metavar="NAME",
        help="default: the first folder below PATH, or `documents`",
    )
    parser.add_argument(
        "--groups", default="everyone", help="who may see them, comma separated (default everyone)"
    )
    parser.add_argument(
        "--sync",
        action="store_true",
        help="send only what changed, and delete the documents whose files below PATH are gone",
    )
    parser.add_argument(
        "--allow-empty",
        action="store_true",
        help="with --sync: a PATH without files deletes every document that came from it",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_profile(parser)
    options = parser.parse_args(arguments)
    if options.allow_empty and not options.sync:
        parser.error("--allow-empty says what --sync may do; it goes with it alone")
    return options


def _files(root: Root, options: argparse.Namespace) -> list[LocalFile]:
    """Of one path. Raises CommandError when there are none, unless that is meant."""
    files = [] if options.sync and root.is_missing else list(root.files())
    if files or options.allow_empty:
        return files
    if options.sync:
        raise CommandError(
            f"there is nothing in {str(root.path)!r}: a sync would delete every document that "
            "came from it; add --allow-empty if that is what you want"
        )
    raise CommandError(f"nothing to ingest in {str(root.path)!r}")


def _summary(result: Result, options: argparse.Namespace) -> str:
    return ", ".join(
        f"{count:,} {name}"
        for name, count in result.counts.items()
        if options.sync or name not in ("renamed", "removed")
    )


def _print(result: Result, options: argparse.Namespace) -> None:
    from rich.markup import escape

    out = console()
    out.print(_summary(result, options))
    for new, old in result.renamed.items():
        out.print(f"  renamed {escape(old)} to {escape(new)}")
    for source in result.removed:
        out.print(f"  removed {escape(source)}")
    for item in result.failed:
        kept = "; its last good content goes on answering" if item.get("still_answers") else ""
        out.print(f"  [red]skipped[/red] {escape(item['reason'])}{kept}")
