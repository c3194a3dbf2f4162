"""`twofold search`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from serving.cli.connection import checked, connect
from serving.cli.main import command_parser
from serving.cli.options import add_collections, add_profile, console, print_json, settings_of

DEFAULT_K = 5
SNIPPET_CHARS = 300


def run(arguments: Sequence[str]) -> int:
    """Find passages, print them with where they came from."""
    parser = command_parser("search")
    parser.add_argument("query")
    parser.add_argument(
        "-k",
        action="append",
        default=[],
        metavar="N",
        help="number of passages (default 5); COLLECTION=N asks that collection for N, and may be "
        "given again for another",
    )
    add_collections(parser)
    parser.add_argument("--json", action="store_true", help="print the whole reply as JSON")
    add_profile(parser)
    options = parser.parse_args(arguments)
    k = _parse_k(options.k, parser)
    body = {"query": options.query, "k": k, "collections": options.collections}
    with connect(settings_of(options)) as client:
        reply = checked(client.post("/v1/search", json=body))
    if options.json:
        print_json(reply)
    else:
        _print(reply)
    return 0


def _parse_k(words: Sequence[str], parser: argparse.ArgumentParser) -> int | dict[str, int]:
    """`-k 3`, or `-k cases=10 -k statutes=5`."""
    pairs = [word.rpartition("=") for word in words or [str(DEFAULT_K)]]
    if not all(number.isdecimal() for _, _, number in pairs):
        parser.error(f"-k takes N or COLLECTION=N, not {' '.join(words)!r}")
    if all(equals and name for name, equals, _ in pairs):
        return {name: int(number) for name, _, number in pairs}
    if len(pairs) > 1 or pairs[0][1]:
        parser.error("several -k each say of which collection: -k cases=10 -k statutes=5")
    return int(pairs[0][2])


def _print(reply: dict[str, Any]) -> None:
    from rich.markup import escape

    out = console()
    if not reply["data"]:
        out.print("No passages found. `twofold documents` lists what is indexed.")
    for number, hit in enumerate(reply["data"], start=1):
        path = " > ".join(dict.fromkeys([hit["title"], *hit["heading_path"]]))
        ranks = f"dense {hit['dense_rank'] or '-'}, BM25 {hit['bm25_rank'] or '-'}"
        out.print(f"[bold]{number}. {escape(path)}[/bold]  [dim]{escape(hit['source'])}[/dim]")
        out.print(f"   [dim]score {hit['score']:.3f}  ({ranks})[/dim]")
        text = " ".join(hit["text"].split())
        more = " …" if len(text) > SNIPPET_CHARS else ""
        out.print(f"   {escape(text[:SNIPPET_CHARS])}{more}\n")
    total = sum(reply["timings_ms"].values())
    out.print(f"[dim]{total:.1f} ms[/dim]")
