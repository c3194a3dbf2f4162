"""`twofold ask`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from router.intents import Route
from serving.cli.connection import checked, connect
from serving.cli.main import command_parser
from serving.cli.options import add_collections, add_profile, console, print_json, settings_of


def run(arguments: Sequence[str]) -> int:
    """Ask once, print the answer with its sources."""
    parser = command_parser("ask")
    parser.add_argument("question")
    parser.add_argument("--route", choices=list(Route), help="instead of letting the router decide")
    parser.add_argument("--adapter", metavar="NAME", help="answer in this voice")
    parser.add_argument(
        "--max-citations", type=int, default=3, metavar="N", help="passages cited (default 3)"
    )
    add_collections(parser)
    parser.add_argument("--json", action="store_true", help="print the whole reply as JSON")
    add_profile(parser)
    options = parser.parse_args(arguments)
    model = "twofold" + (f":{options.route}" if options.route else "")
    body = {
        "model": model + (f"@{options.adapter}" if options.adapter else ""),
        "messages": [{"role": "user", "content": options.question}],
        "twofold": {
            "collections": options.collections,
            "max_citations": options.max_citations,
        },
    }
    with connect(settings_of(options)) as client:
        reply = checked(client.post("/v1/chat/completions", json=body))
    if options.json:
        print_json(reply)
    else:
        _print(reply)
    return 0


def _print(reply: dict[str, Any]) -> None:
    from rich.markup import escape

    out = console()
    details = reply["twofold"]
    out.print(escape(reply["choices"][0]["message"]["content"]))
    shown: set[int] = set()
    if details["citations"]:
        out.print()
    for citation in sorted(details["citations"], key=lambda item: item["marker"]):
        if citation["marker"] not in shown:
            shown.add(citation["marker"])
            path = " > ".join(dict.fromkeys([citation["title"], *citation["heading_path"]]))
            marker = escape(f"[{citation['marker']}]")
            out.print(
                f"[cyan]{marker}[/cyan] {escape(path)}  [dim]{escape(citation['source'])}[/dim]"
            )
    score = f" {details['score']:.2f}" if details["score"] is not None else ""
    parts = [f"route {details['route']}{score}", f"{details['timings_ms']['total']:.0f} ms"]
    if details["degraded"]:
        parts.append("without " + ", ".join(details["degraded"]))
    out.print(f"\n[dim]{' · '.join(parts)}[/dim]")
