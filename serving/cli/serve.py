"""`twofold serve`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from serving.cli.main import command_parser
from serving.cli.options import add_profile, console, settings_of
from serving.cli.server_process import Address, serve_forever
from serving.wiring import Twofold


def run(arguments: Sequence[str]) -> int:
    """Serve until interrupted."""
    parser = command_parser("serve")
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port (default 8000; 0 picks a free one)")
    add_profile(parser)
    options: argparse.Namespace = parser.parse_args(arguments)
    settings = settings_of(options, host=options.host, port=options.port)

    def announce(twofold: Twofold, address: Address) -> None:
        out = console()
        count = twofold.catalogue.count()
        out.print(
            f"Twofold is ready at [bold]{address.url}[/bold]  ({count:,} documents, "
            f"{twofold.store.count():,} passages, profile {options.profile})"
        )
        out.print("Open it in a browser, or point any OpenAI client at it under /v1. Ctrl+C stops.")
        if count == 0:
            out.print("There are no documents yet: add some with `twofold ingest PATH`.")

    serve_forever(settings, announce)
    return 0
