"""One table: our errors -> HTTP status and OpenAI's error shape."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retrieval.errors import (
    DocumentNotFoundError,
    LoadingError,
    RetrievalError,
    StoreError,
)
from serving.errors import (
    GeneratorBusyError,
    GeneratorError,
    InvalidRequestError,
    NoLanguageModelError,
    NotAuthorizedError,
    ServingError,
    TooLargeError,
    UnknownModelError,
)

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 5  # of a client that was turned away because too many wait

# The first class that fits decides: subclasses stand before their base.
STATUS: tuple[tuple[type[Exception], int, str], ...] = (
    (NotAuthorizedError, 401, "authentication_error"),
    (UnknownModelError, 404, "invalid_request_error"),
    (TooLargeError, 413, "invalid_request_error"),
    (InvalidRequestError, 400, "invalid_request_error"),
    (NoLanguageModelError, 503, "server_error"),
    (GeneratorError, 503, "server_error"),
    (DocumentNotFoundError, 404, "invalid_request_error"),
    (LoadingError, 400, "invalid_request_error"),
    (StoreError, 503, "server_error"),
    (RetrievalError, 503, "server_error"),
)
_CODES: dict[type[Exception], str] = {
    DocumentNotFoundError: "document_not_found",
    LoadingError: "unreadable_document",
    StoreError: "index_unavailable",
}


def error_status(error: Exception) -> int:
    """HTTP status of an error; 500 for one that nobody foresaw."""
    return next((status for kind, status, _ in STATUS if isinstance(error, kind)), 500)


def error_body(error: Exception) -> dict[str, Any]:
    """OpenAI's error object. What nobody foresaw is logged, and only named here."""
    for kind, _, name in STATUS:
        if isinstance(error, kind):
            code = error.code if isinstance(error, ServingError) else _CODES.get(kind)
            param = error.param if isinstance(error, ServingError) else None
            return _shape(str(error), name, param=param, code=code)
    logger.error("unforeseen error", exc_info=error)
    return _shape("internal error; the server's log holds the details", "server_error")


def install(app: FastAPI) -> None:
    """Give every error of the app OpenAI's shape."""

    async def ours(_: Request, error: Exception) -> JSONResponse:
        return _response(error)

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        problems = [_problem(item) for item in error.errors()]
        first = error.errors()[0]["loc"]
        param = str(first[1]) if len(first) > 1 and isinstance(first[1], str) else None
        body = _shape("; ".join(problems), "invalid_request_error", param=param)
        return JSONResponse(body, status_code=400)

    async def http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        kind = "invalid_request_error" if error.status_code < 500 else "server_error"
        return JSONResponse(_shape(str(error.detail), kind), status_code=error.status_code)

    for kind in (ServingError, RetrievalError):
        app.add_exception_handler(kind, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_middleware(Unforeseen)


class Unforeseen:
    """Answers for a handler that failed, so that the server needn't end the connection.

    A handler registered for `Exception` would not do: its error is raised again, and the server
    then closes the connection, on which the client may have sent its next request already.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a 500 instead of an error, unless the reply has begun."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if begun or scope["type"] != "http":
                raise
            await _response(error)(scope, receive, send)


def _response(error: Exception) -> JSONResponse:
    status = error_status(error)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if isinstance(error, GeneratorBusyError):
        headers = {"Retry-After": str(RETRY_AFTER_S)}
    return JSONResponse(error_body(error), status_code=status, headers=headers)


def _problem(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"] if part != "body")
    if item["type"] == "json_invalid":
        return f"the body is not JSON: {item['ctx']['error']} at character {item['loc'][-1]}"
    return f"{where}: {item['msg']}" if where else str(item["msg"])


def _shape(
    message: str, kind: str, *, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
