"""The server as a process: a socket, uvicorn, and the file by which commands find it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import uvicorn

from serving.admission import instance_of
from serving.errors import SettingsError
from serving.http.app import create_app
from serving.settings import Settings
from serving.wiring import Twofold, open_twofold

SERVER_FILE = "server.json"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
SHUTDOWN_S = 5


@dataclass(frozen=True, slots=True)
class Address:
    """Where a running server listens, and the token that this machine's commands use."""

    url: str
    token: str
    pid: int

    @property
    def instance(self) -> str:
        """What tells this server from another at its address, without giving the token away."""
        return instance_of(self.token)

    def write(self, home: Path) -> None:
        """Readable by the owner alone, since the token opens the server."""
        scratch = home / f"{SERVER_FILE}.{os.getpid()}"
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(self), file)
        scratch.replace(home / SERVER_FILE)

    @classmethod
    def read(cls, home: Path) -> Address | None:
        """What the last server wrote; it may have been killed since."""
        try:
            return cls(**json.loads((home / SERVER_FILE).read_text()))
        except (OSError, ValueError, TypeError):
            return None


def serve_forever(settings: Settings, announce: Callable[[Twofold, Address], None]) -> None:
    """Serve until a signal comes; then close what is open and remove the server's file.

    `announce` is called once the system is open and the socket listens.
    """
    if settings.host not in LOOPBACK and not settings.keys:
        raise SettingsError(
            f"listening on {settings.host} lets other machines in, and no keys are set; set "
            'TWOFOLD_KEYS, for example [{"key": "at least 16 characters"}], or use 127.0.0.1'
        )
    with listening(settings.host, settings.port) as listener, open_twofold(settings) as twofold:
        address = _address(listener)
        server = _server(twofold, address)
        address.write(settings.home)
        # uvicorn hands the signal on when it has shut down; so `finally` still runs after it.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            announce(twofold, address)
            server.run(sockets=[listener])
        finally:
            (settings.home / SERVER_FILE).unlink(missing_ok=True)


@contextmanager
def serve_in_thread(settings: Settings) -> Iterator[Address]:
    """The same server on a free local port, for as long as the block runs."""
    with listening(LOOPBACK[0], 0) as listener, open_twofold(settings) as twofold:
        address = _address(listener)
        server = _server(twofold, address)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield address
        finally:
            twofold.ingestor.stop()  # a request that still writes ends with its slice
            server.should_exit = True
            thread.join()


def _server(twofold: Twofold, address: Address) -> uvicorn.Server:
    app = create_app(twofold, local_token=address.token)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
    return uvicorn.Server(config)


def _address(listener: socket.socket) -> Address:
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": LOOPBACK[0], "::": LOOPBACK[1]}.get(host, host)
    url = f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
    return Address(url=url, token=secrets.token_urlsafe(24), pid=os.getpid())


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket in which connections wait until the server accepts them.

    Raises:
        SettingsError: the address cannot be had.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=128)
        # Every connection inherits it; without it a reply's body waits 40 ms after its head.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; choose another with "
            "--port, or stop what listens there"
        ) from error
    with listener:
        yield listener
