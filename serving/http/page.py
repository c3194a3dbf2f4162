"""The pages: the chat, and the decision."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

PAGE = Path(__file__).parents[1] / "web"

router = APIRouter()


@router.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
def index() -> FileResponse:
    """The chat."""
    return FileResponse(PAGE / "index.html")


@router.api_route("/decide", methods=["GET", "HEAD"], include_in_schema=False)
def decision() -> FileResponse:
    """RAG, fine-tuning or both for a use case."""
    return FileResponse(PAGE / "decide.html")
