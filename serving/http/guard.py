"""Refuses foreign pages and oversized bodies before a handler reads them; adds headers."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import InvalidRequestError, TooLargeError
from serving.http.errors import error_body, error_status

MAX_JSON_BYTES = 1 << 20
LOCAL_HOSTS = ("127.0.0.1", "::1", "localhost")
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, *, max_upload_bytes: int, names: Sequence[str] = ()) -> None:
        """Answer to these host names alone; none given, to any."""
        self._app = app
        self._max_upload_bytes = max_upload_bytes
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check an HTTP request, pass it on, add headers to the reply."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
            await send(message)

        headers = Headers(scope=scope)
        try:
            _check_origin(headers)
            if self._names:
                _check_host(headers, self._names)
            _check_length(scope["method"], headers, self._max_upload_bytes)
        except InvalidRequestError as error:
            refusal = JSONResponse(error_body(error), status_code=error_status(error))
            await refusal(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)


def _check_origin(headers: Headers) -> None:
    """A page of another site could otherwise post documents to a server on this machine."""
    origin = headers.get("origin")
    if origin and _parts(origin).netloc != headers.get("host"):
        raise InvalidRequestError(f"requests from pages of {origin!r} are not taken")


def _check_host(headers: Headers, names: Sequence[str]) -> None:
    """Without keys, a foreign name that points at this machine must not open it to its pages."""
    host = _parts(f"//{headers.get('host', '')}").hostname
    if host not in names:
        raise InvalidRequestError(
            f"this server has no keys and answers to {', '.join(names)} alone, not {host!r}"
        )


def _parts(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError as error:
        raise InvalidRequestError(f"{address!r} is no address") from error


def _check_length(method: str, headers: Headers, max_upload_bytes: int) -> None:
    if method not in ("POST", "PUT"):
        return
    is_upload = headers.get("content-type", "").startswith("multipart/")
    limit = max_upload_bytes if is_upload else MAX_JSON_BYTES
    length = headers.get("content-length", "")
    if not length.isdigit():
        raise InvalidRequestError("send the body with a Content-Length")
    if int(length) > limit:
        raise TooLargeError(f"the body has {int(length):,} bytes, at most {limit:,} are taken")
