"""Puts the HTTP application together."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from serving.admission import Admission, instance_of
from serving.http import chat, decide, documents, errors, health, page
from serving.http.guard import LOCAL_HOSTS, Guard
from serving.http.metrics import Metrics
from serving.http.state import ServerState
from serving.wiring import Twofold


def create_app(twofold: Twofold, *, local_token: str | None = None) -> FastAPI:
    """The application over an open system; the caller closes that system."""
    app = FastAPI(title="Twofold", docs_url=None, redoc_url=None)
    app.state.server = ServerState(
        twofold=twofold,
        admission=Admission(twofold.settings.keys, local_token=local_token),
        metrics=Metrics(),
        instance=instance_of(local_token) if local_token else None,
    )
    errors.install(app)
    app.add_middleware(
        Guard,
        max_upload_bytes=twofold.settings.max_upload_mib << 20,
        names=() if twofold.settings.keys else _own_names(twofold.settings.public_url),
    )
    for part in (chat, decide, documents, health, page):
        app.include_router(part.router)
    app.mount("/static", StaticFiles(directory=page.PAGE), name="static")
    return app


def _own_names(public_url: str | None) -> tuple[str, ...]:
    name = urlsplit(public_url or "").hostname
    return (*LOCAL_HOSTS, name) if name else LOCAL_HOSTS
