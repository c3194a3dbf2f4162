"""What every handler reaches through the request: the open system, who asks, and under what URL."""

from __future__ import annotations

from dataclasses import dataclass, field

from anyio import CapacityLimiter
from fastapi import Request

from serving.admission import Admission, Caller
from serving.http.metrics import Metrics
from serving.wiring import Twofold

MAX_ANSWERING = 40  # answers in the works at once; more wait


@dataclass(frozen=True, slots=True)
class ServerState:
    """Built once by `create_app`."""

    twofold: Twofold
    admission: Admission
    metrics: Metrics
    instance: str | None = None
    answering: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(MAX_ANSWERING))


def state(request: Request) -> ServerState:
    """The server's state."""
    server = request.app.state.server
    assert isinstance(server, ServerState)
    return server


def caller(request: Request) -> Caller:
    """Who asks. Raises NotAuthorizedError."""
    return state(request).admission.caller(request.headers.get("authorization"))


def base_url(request: Request) -> str:
    """What our own URLs start with, without a trailing slash."""
    configured = state(request).twofold.settings.public_url
    return (configured or str(request.base_url)).rstrip("/")
