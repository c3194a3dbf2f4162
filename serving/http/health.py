"""GET /healthz, /readyz and /metrics."""

from __future__ import annotations

import math
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from retrieval.documents import Scope
from retrieval.errors import RetrievalError
from serving.http.state import state

router = APIRouter()


@router.get("/healthz")
async def healthz(request: Request) -> dict[str, str | None]:
    """The process runs and its event loop turns. `instance` tells commands that it is theirs."""
    return {"status": "ok", "instance": state(request).instance}


@router.get("/readyz")
def readyz(request: Request) -> JSONResponse:
    """Every part that an answer needs is tried; 503 names the one that fails."""
    twofold = state(request).twofold
    parts: dict[str, Any] = {}
    try:
        parts["documents"] = twofold.catalogue.count()
        parts["passages"] = twofold.store.count()
        found = twofold.retriever.search("ready", 1, Scope())
        parts["degraded"] = list(found.degraded)
    except (RetrievalError, OSError) as error:
        return JSONResponse({"status": "unready", "reason": str(error)}, status_code=503)
    return JSONResponse({"status": "ready", **parts})


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """Prometheus' text format."""
    server = state(request)
    try:
        passages = float(server.twofold.store.count())
    except RetrievalError:
        passages = math.nan  # the index is down; /readyz says why
    body = server.metrics.render(documents=server.twofold.catalogue.count(), passages=passages)
    return Response(body, media_type=CONTENT_TYPE_LATEST)
