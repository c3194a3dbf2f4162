"""`twofold ingest`."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import httpx

from serving.cli.connection import CommandError, checked, connect
from serving.cli.main import command_parser
from serving.cli.options import add_profile, console, print_json, settings_of

OUTCOMES = ("added", "updated", "unchanged")
BUNDLES = (".jsonl", ".jsonl.gz")


@dataclass(frozen=True, slots=True)
class LocalFile:
    """Something to send: a file, or a line of a bundle, which has its content already."""

    source: str
    collection: str | None
    path: Path
    content: bytes | None = None

    def read(self) -> bytes:
        """The bytes to send."""
        return self.path.read_bytes() if self.content is None else self.content


def run(arguments: Sequence[str]) -> int:
    """Send every file; name what could not be read; go on with the others."""
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
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_profile(parser)
    options = parser.parse_args(arguments)
    files = [file for path in options.paths for file in find_files(path)]
    if not files:
        raise CommandError(f"nothing to ingest in {', '.join(map(str, options.paths))}")
    with connect(settings_of(options)) as client:
        result = _send(client, files, options.collection, options.groups, quiet=options.json)
    if options.json:
        print_json(result)
    else:
        _print(result)
    return 0 if any(result[outcome] for outcome in OUTCOMES) else 1


def find_files(path: Path) -> Iterator[LocalFile]:
    """What a path of the command line stands for. Hidden files are left out.

    Raises:
        CommandError: the path does not exist, or a bundle's line is no document.
    """
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            relative = file.relative_to(path)
            if file.is_file() and not any(part.startswith(".") for part in relative.parts):
                folder = relative.parts[0] if len(relative.parts) > 1 else None
                yield LocalFile(relative.as_posix(), folder, file)
    elif path.name.endswith(BUNDLES):
        yield from _unbundle(path)
    elif path.is_file():
        yield LocalFile(path.name, None, path)
    else:
        raise CommandError(f"{str(path)!r} is neither a file nor a folder")


def _unbundle(path: Path) -> Iterator[LocalFile]:
    opener = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                number += 1
                row = json.loads(line)
                source = PurePosixPath(row["path"]).as_posix()
                yield LocalFile(source, None, path, row["text"].encode())
    except (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError) as error:
        raise CommandError(
            f"{path}:{number}: not a document ({error!r}); each line is an object with "
            "path and text"
        ) from error


def _send(
    client: httpx.Client,
    files: list[LocalFile],
    collection: str | None,
    groups: str,
    *,
    quiet: bool,
) -> dict[str, Any]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    result: dict[str, Any] = {**dict.fromkeys(OUTCOMES, 0), "failed": []}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeLeft())
    with Progress(*columns, console=console(), transient=True, disable=quiet) as progress:
        for file in progress.track(files, description="Ingesting"):
            form = {"source": file.source, "groups": groups}
            if collection or file.collection:
                form["collection"] = collection or file.collection or ""
            try:
                upload = {"file": (PurePosixPath(file.source).name, file.read())}
                reply = checked(client.post("/v1/documents", data=form, files=upload))
            except (CommandError, OSError) as error:
                result["failed"].append({"source": file.source, "reason": str(error)})
                continue
            for outcome in OUTCOMES:
                result[outcome] += reply[outcome]
            result["failed"] += reply["failed"]
    return result


def _print(result: dict[str, Any]) -> None:
    from rich.markup import escape

    out = console()
    counts = ", ".join(f"{result[outcome]:,} {outcome}" for outcome in OUTCOMES)
    failed = result["failed"]
    out.print(f"{counts}, {len(failed):,} failed")
    for item in failed:
        out.print(f"  [red]skipped[/red] {escape(item['reason'])}")
