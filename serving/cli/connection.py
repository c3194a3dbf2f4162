"""A command's way to the system: through the running server, or through one of its own.

Both are the same HTTP interface, so a command has one path and one output.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from serving.cli.server_process import Address, serve_in_thread
from serving.settings import Settings
from serving.wiring import HomeInUseError

ANSWER_TIMEOUT_S = 600.0
WAIT_FOR_HOME_S = 30.0
POLL_S = 0.2


class CommandError(Exception):
    """What a command tells its user before it exits with 1."""


@contextmanager
def connect(settings: Settings) -> Iterator[httpx.Client]:
    """A client to the server that holds the data folder, or to one that lives in this process.

    Raises:
        HomeInUseError: something else holds the folder for longer than `WAIT_FOR_HOME_S`.
    """
    deadline = time.monotonic() + WAIT_FOR_HOME_S
    while True:
        address = Address.read(settings.home)
        if address is not None and _alive(address):
            with _client(address) as client:
                yield client
            return
        try:
            own = serve_in_thread(settings)
            address = own.__enter__()
        except HomeInUseError:
            # Another command, or a server that has not opened yet: it will be done soon.
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_S)
            continue
        try:
            with _client(address) as client:
                yield client
        finally:
            own.__exit__(None, None, None)
        return


def checked(response: httpx.Response) -> dict[str, Any]:
    """The reply's object.

    Raises:
        CommandError: the server answered with an error; holds its message.
    """
    try:
        body: dict[str, Any] = response.json()
    except ValueError as error:
        raise CommandError(f"unexpected reply {response.status_code} from the server") from error
    if response.is_error:
        raise CommandError(body.get("error", {}).get("message", response.text))
    return body


def _client(address: Address) -> httpx.Client:
    return httpx.Client(
        base_url=address.url,
        headers={"Authorization": f"Bearer {address.token}"},
        timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=5.0),
        trust_env=False,
        verify=_no_certificates(),
    )


def _no_certificates() -> ssl.SSLContext:
    """Loading the authorities' certificates takes long, and our servers speak plain HTTP."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _alive(address: Address) -> bool:
    """Whether the server that wrote the address still listens there, and no other."""
    try:
        reply = httpx.get(
            f"{address.url}/healthz", timeout=5.0, trust_env=False, verify=_no_certificates()
        )
        return bool(reply.is_success and reply.json().get("instance") == address.instance)
    except (httpx.HTTPError, ValueError, AttributeError):
        return False
