"""`twofold documents`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serving.cli.connection import CommandError, checked, connect
from serving.cli.main import command_parser
from serving.cli.options import add_profile, console, print_json, settings_of
from serving.cli.server_process import Address
from serving.wiring import HomeInUseError, rebuild_index

ACTIONS = ("list", "show", "delete", "rebuild")


def run(arguments: Sequence[str]) -> int:
    """List by default; `show` and `delete` take an id or a source."""
    parser = command_parser("documents")
    parser.add_argument("action", nargs="?", choices=ACTIONS, default="list")
    parser.add_argument("document", nargs="?", metavar="ID", help="an id or a source, as listed")
    parser.add_argument("--collection", metavar="NAME", help="list only this collection")
    parser.add_argument("--json", action="store_true", help="print the reply as JSON")
    add_profile(parser)
    options = parser.parse_args(arguments)
    if (options.document is not None) != (options.action in ("show", "delete")):
        parser.error("`show` and `delete` take one document, `list` and `rebuild` take none")
    settings = settings_of(options)
    if options.action == "rebuild":
        try:
            count = rebuild_index(settings)
        except HomeInUseError as error:
            address = Address.read(settings.home)
            where = f" (the server at {address.url})" if address else ""
            raise CommandError(f"{error}{where}; a rebuild needs the index to itself") from error
        console().print(f"The index was made anew from {count:,} documents.")
        return 0
    with connect(settings) as client:
        query = {"collection": options.collection} if options.collection else {}
        listing = checked(client.get("/v1/documents", params=query))
        if options.action == "list":
            reply = listing
        else:
            document = _find(listing["data"], options.document)
            method = "GET" if options.action == "show" else "DELETE"
            reply = checked(client.request(method, f"/v1/documents/{document['id']}"))
    if options.json:
        print_json(reply)
    else:
        _print(options.action, reply)
    return 0


def _find(documents: list[dict[str, Any]], name: str) -> dict[str, Any]:
    found = [item for item in documents if name in (item["id"], item["source"])]
    if not found:
        raise CommandError(f"no document {name!r}; `twofold documents` lists them")
    if len(found) > 1:
        ids = ", ".join(f"{item['collection']}: {item['id']}" for item in found)
        raise CommandError(f"{name!r} is in several collections; give the id ({ids})")
    return found[0]


def _print(action: str, reply: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    out = console()
    if action == "delete":
        out.print(f"Deleted {reply['id']}; it no longer answers.")
        return
    if action == "show":
        out.print(escape(reply["text"]))
        return
    if not reply["data"]:
        out.print("No documents yet. Add some with `twofold ingest PATH`.")
        return
    table = Table("collection", "source", "title", box=None, pad_edge=False)
    for heading in ("passages", "characters"):
        table.add_column(heading, justify="right")
    table.add_column("updated")
    for item in reply["data"]:
        table.add_row(
            escape(item["collection"]),
            escape(item["source"]),
            escape(item["title"]),
            f"{item['passages']:,}",
            f"{item['characters']:,}",
            item["updated_at"][:10],
        )
    out.print(table)
    out.print(f"[dim]{len(reply['data']):,} documents[/dim]")
