"""Refuses foreign pages and oversized bodies before a handler reads them; adds headers."""

from __future__ import annotations

from urllib.parse import urlsplit

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

    def __init__(self, app: ASGIApp, *, max_upload_bytes: int, local_only: bool) -> None:
        self._app = app
        self._max_upload_bytes = max_upload_bytes
        self._local_only = local_only

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
            if self._local_only:
                _check_host(headers)
            _check_length(scope["method"], headers, self._max_upload_bytes)
        except InvalidRequestError as error:
            refusal = JSONResponse(error_body(error), status_code=error_status(error))
            await refusal(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)


def _check_origin(headers: Headers) -> None:
    """A page of another site could otherwise post documents to a server on this machine."""
    origin = headers.get("origin")
    if origin and urlsplit(origin).netloc != headers.get("host"):
        raise InvalidRequestError(f"requests from pages of {origin!r} are not taken")


def _check_host(headers: Headers) -> None:
    """Without keys, a foreign name that points at this machine must not open it to its pages."""
    host = urlsplit(f"//{headers.get('host', '')}").hostname
    if host not in LOCAL_HOSTS:
        raise InvalidRequestError(
            f"this server has no keys and answers to {', '.join(LOCAL_HOSTS)} alone, not {host!r}"
        )


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
