"""POST /v1/chat/completions, streaming and not; GET /v1/models."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, StreamingResponse

from serving.answers import Answer, ChatRequest
from serving.errors import UnknownAdapterError
from serving.http import replies
from serving.http.bodies import MODELS, ChatBody, parse_model
from serving.http.errors import error_body
from serving.http.state import base_url, caller, state

Result = TypeVar("Result")

router = APIRouter()
LEFT_POLL_S = 0.25  # how often a waiting request looks whether its client is still there


@router.post("/v1/chat/completions")
async def complete(body: ChatBody, request: Request) -> Any:
    """Answer the last user message of the conversation."""
    server = state(request)
    chat = body.request(caller(request), server.twofold.settings)
    server.twofold.assistant.check(chat)
    head = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "created": int(time.time()),
        "model": body.model,
    }
    if body.stream:
        # The first event is awaited here, so that a failure still has its HTTP status.
        source = _measured(request, chat)
        async with _watched(request, chat):
            first = await _in_thread(request, lambda: next(source))
        include_usage = bool(body.stream_options and body.stream_options.include_usage)
        stream = _stream(request, chat, first, source, head, include_usage)
        return StreamingResponse(
            stream, media_type="text/event-stream", headers={"Cache-Control": "no-cache"}
        )
    answer = await _whole(request, chat)
    reply = replies.completion(
        answer, head=head, base_url=base_url(request), twofold=server.twofold
    )
    return JSONResponse(reply)


@router.get("/v1/models")
async def list_models(request: Request) -> dict[str, Any]:
    """The routes as models, and each in each voice."""
    caller(request)
    voices = state(request).twofold.assistant.voice_names()
    names = [*MODELS, *(f"{model}@{voice}" for voice in voices for model in MODELS)]
    return {"object": "list", "data": [replies.model(name) for name in names]}


@router.get("/v1/models/{name}")
async def get_model(name: str, request: Request) -> dict[str, Any]:
    """One of them."""
    caller(request)
    _, adapter = parse_model(name)
    if adapter and adapter not in state(request).twofold.assistant.voice_names():
        raise UnknownAdapterError(f"no adapter {adapter!r}", param="model")
    return replies.model(name)


def _measured(request: Request, chat: ChatRequest) -> Generator[str | Answer, None, None]:
    """The assistant's events, counted."""
    server = state(request)
    try:
        for event in server.twofold.assistant.answer(chat):
            if isinstance(event, Answer):
                server.metrics.answered(event)
            yield event
    except Exception as error:
        server.metrics.failed(error)
        raise


@asynccontextmanager
async def _watched(request: Request, chat: ChatRequest) -> AsyncIterator[None]:
    """While something is awaited: tell the generator when the client has left."""

    async def watch() -> None:
        while not await request.is_disconnected():
            await asyncio.sleep(LEFT_POLL_S)
        chat.cancelled.set()

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()


async def _whole(request: Request, chat: ChatRequest) -> Answer:
    async with _watched(request, chat):
        events = await _in_thread(request, lambda: list(_measured(request, chat)))
    answer = events[-1]
    assert isinstance(answer, Answer)
    return answer


async def _stream(
    request: Request,
    chat: ChatRequest,
    first: str | Answer,
    source: Generator[str | Answer, None, None],
    head: dict[str, Any],
    include_usage: bool,
) -> AsyncIterator[str]:
    """Server-sent events; citations come once, in the chunk that carries `finish_reason`."""
    try:
        yield _event(replies.chunk(head, {"role": "assistant", "content": ""}))
        async for event in _chain(request, first, source):
            if isinstance(event, str):
                yield _event(replies.chunk(head, {"content": event}))
                continue
            url = base_url(request)
            last = replies.chunk(
                head,
                {"annotations": replies.url_citations(event, url)},
                finish_reason=replies.finish_reason(event),
            )
            last["twofold"] = replies.details(event, url, state(request).twofold)
            yield _event(last)
            if include_usage:
                empty = {**head, "object": "chat.completion.chunk", "choices": []}
                yield _event({**empty, "usage": replies.usage(event)})
        yield "data: [DONE]\n\n"
    except Exception as error:  # noqa: BLE001 - the status is sent; the client learns it this way
        yield _event(error_body(error))
    finally:
        chat.cancelled.set()
        with anyio.CancelScope(shield=True):
            await _in_thread(request, source.close)  # frees the model for the next question


async def _chain(
    request: Request, first: str | Answer, rest: Generator[str | Answer, None, None]
) -> AsyncIterator[str | Answer]:
    event: str | Answer | None = first
    while event is not None:
        yield event
        event = await _in_thread(request, lambda: next(rest, None))


async def _in_thread(request: Request, work: Callable[[], Result]) -> Result:
    """In threads of their own: answers that wait for a model keep no probe or search waiting."""
    return await anyio.to_thread.run_sync(work, limiter=state(request).answering)


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"
