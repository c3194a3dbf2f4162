"""An OpenAI-compatible server as the generator: a small one over real HTTP, and our own."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response, StreamingResponse

from serving.answers import Message, Sampling, Usage
from serving.cli.server_process import listening
from serving.errors import GeneratorError
from serving.generation import GenerationRequest, Piece
from serving.openai_generator import OpenAIGenerator
from serving.prompts import Prompt
from tests.conftest import ServerProcess

PROMPT = Prompt(
    "Be kind.",
    (Message("user", "Hi."), Message("assistant", "Hello."), Message("user", "How heavy?")),
    "How heavy?",
)


@contextmanager
def listen(app: FastAPI) -> Iterator[str]:
    """The application on a free port of this machine; gives its URL."""
    with listening("127.0.0.1", 0) as listener:
        config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


class Model:
    """A language model's server: records what it is asked, says the words, ends as told."""

    def __init__(self) -> None:
        self.words = ["Eight", " kilos", " [1]."]
        self.finish_reason = "stop"
        self.status = 200
        self.refuses: str | None = None  # a key of the body
        self.broken_after: int | None = None
        self.pause_s = 0.0
        self.asked: list[dict[str, Any]] = []
        self.left = threading.Event()

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/v1/chat/completions")
        def complete(body: dict[str, Any]) -> Response:
            self.asked.append(body)
            if self.refuses in body:
                message = f"Unrecognized request argument supplied: {self.refuses}"
                return JSONResponse({"error": {"message": message}}, 400)
            if self.status != 200:
                return JSONResponse({"error": {"message": "out of memory"}}, self.status)
            return StreamingResponse(self.events(), media_type="text/event-stream")

        return app

    async def events(self) -> AsyncIterator[str]:
        try:
            for number, word in enumerate(self.words):
                if number == self.broken_after:
                    raise ConnectionAbortedError
                yield self.event([{"index": 0, "delta": {"content": word}}])
                await asyncio.sleep(self.pause_s)
            last = {"index": 0, "delta": {}, "finish_reason": self.finish_reason}
            yield self.event([last])
            usage = {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23}
            yield self.event([], usage=usage)
            yield "data: [DONE]\n\n"
        finally:
            self.left.set()

    @staticmethod
    def event(choices: list[dict[str, Any]], **more: Any) -> str:
        chunk = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "tiny"}
        return f"data: {json.dumps({**chunk, 'choices': choices, **more})}\n\n"


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Model, str]]:
    model = Model()
    with listen(model.app()) as url:
        yield model, url


@pytest.fixture
def model(server: tuple[Model, str]) -> Model:
    server[0].__dict__.clear()
    server[0].__dict__.update(Model().__dict__)
    return server[0]


@pytest.fixture
def generator(server: tuple[Model, str]) -> OpenAIGenerator:
    return at(server[1])


def at(url: str, *, timeout_s: float = 10.0) -> OpenAIGenerator:
    return OpenAIGenerator(
        base_url=f"{url}/v1",
        model="tiny",
        api_key="none",
        count_tokens=len,
        adapters={"skylark": "tiny-skylark", "northwind": "tiny-northwind"},
        timeout_s=timeout_s,
    )


def request(*, adapter: str | None = None, **sampling: Any) -> GenerationRequest:
    return GenerationRequest(PROMPT, sampling=Sampling(**sampling), adapter=adapter)


def test_pieces_come_as_sent_and_the_last_has_the_servers_usage(
    model: Model, generator: OpenAIGenerator
) -> None:
    *pieces, last = generator.stream(request())

    assert [piece.text for piece in pieces] == model.words
    assert last == Piece("", usage=Usage(20, 3), truncated=False)


def test_length_limit_is_told(model: Model, generator: OpenAIGenerator) -> None:
    model.finish_reason = "length"
    *_, last = generator.stream(request())

    assert last.truncated


def test_prompt_and_sampling_are_sent(model: Model, generator: OpenAIGenerator) -> None:
    list(generator.stream(request(max_new_tokens=9, temperature=0.5, stop=("END",), seed=3)))
    (asked,) = model.asked

    assert asked["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "How heavy?"},
    ]
    assert asked["model"] == "tiny"
    assert (asked["max_tokens"], asked["temperature"], asked["seed"]) == (9, 0.5, 3)
    assert asked["stop"] == ["END"]
    assert asked["stream_options"] == {"include_usage": True}


def test_stop_and_seed_are_left_out_unless_given(model: Model, generator: OpenAIGenerator) -> None:
    list(generator.stream(request()))

    assert {"stop", "seed"}.isdisjoint(model.asked[0])


def test_adapter_is_the_servers_model_of_that_voice(
    model: Model, generator: OpenAIGenerator
) -> None:
    list(generator.stream(request(adapter="skylark")))

    assert model.asked[0]["model"] == "tiny-skylark"
    assert generator.adapters() == ["northwind", "skylark"]


def test_server_that_is_down_is_a_generator_error_with_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(GeneratorError, match=rf"127\.0\.0\.1:{port}.*TWOFOLD_OPENAI_BASE_URL"):
        list(at(f"http://127.0.0.1:{port}").stream(request()))


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_servers_error_is_a_generator_error_without_a_retry(
    model: Model, generator: OpenAIGenerator, status: int
) -> None:
    model.status = status
    with pytest.raises(GeneratorError, match="out of memory"):
        list(generator.stream(request()))

    assert len(model.asked) == 1


def test_slow_server_is_a_generator_error(model: Model, server: tuple[Model, str]) -> None:
    model.pause_s = 1.0
    with pytest.raises(GeneratorError):
        list(at(server[1], timeout_s=0.2).stream(request()))


def test_server_that_dies_in_the_middle_is_a_generator_error(
    model: Model, generator: OpenAIGenerator
) -> None:
    model.broken_after = 2
    stream = generator.stream(request())

    assert next(stream).text == "Eight"
    with pytest.raises(GeneratorError):
        list(stream)


def test_error_event_in_the_middle_is_a_generator_error(
    model: Model, generator: OpenAIGenerator
) -> None:
    model.words = ["Eight"]
    model.event = lambda choices, **more: (  # type: ignore[method-assign]
        Model.event(choices, **more)
        if choices and choices[0]["delta"]
        else 'data: {"error": {"message": "out of memory"}}\n\n'
    )
    stream = generator.stream(request())

    assert next(stream).text == "Eight"
    with pytest.raises(GeneratorError, match="out of memory"):
        list(stream)


def test_cancelled_request_hangs_up(model: Model, generator: OpenAIGenerator) -> None:
    model.words, model.pause_s = ["word "] * 400, 0.02
    asked = request()
    stream = generator.stream(asked)
    next(stream)
    asked.cancelled.set()
    started = time.monotonic()

    assert all(piece.usage is None for piece in stream)
    assert model.left.wait(2)
    assert time.monotonic() - started < 2


def test_our_own_server_is_compatible(running_server: ServerProcess) -> None:
    generator = OpenAIGenerator(
        base_url=f"{running_server.url}/v1", model="twofold:rag", api_key="none", count_tokens=len
    )
    question = "How heavy may a cabin bag be?"
    asked = GenerationRequest(Prompt("Be kind.", (Message("user", question),), question))
    *pieces, last = generator.stream(asked)

    assert "[1]" in "".join(piece.text for piece in pieces)
    assert last.usage is not None
    assert last.usage.completion_tokens > 0
    assert not last.truncated


def test_server_is_asked_not_to_reason(model: Model, generator: OpenAIGenerator) -> None:
    list(generator.stream(request()))

    assert model.asked[0]["chat_template_kwargs"] == {"enable_thinking": False}


def test_server_that_knows_no_template_options_is_asked_without(
    model: Model, generator: OpenAIGenerator
) -> None:
    model.refuses = "chat_template_kwargs"
    texts = ["".join(p.text for p in generator.stream(request())) for _ in range(2)]

    assert texts == ["Eight kilos [1]."] * 2
    assert [model.refuses in body for body in model.asked] == [True, False, False]


def test_other_refusals_are_not_tried_again(model: Model, generator: OpenAIGenerator) -> None:
    model.refuses = "temperature"
    with pytest.raises(GeneratorError, match="temperature"):
        list(generator.stream(request()))

    assert len(model.asked) == 1


def test_reasoning_is_no_part_of_the_answer(model: Model, generator: OpenAIGenerator) -> None:
    model.words = ["<thi", "nk>Eight?", " Yes.</think>", "\n\nEight", " kilos <"]
    pieces = [piece.text for piece in generator.stream(request())]

    assert "".join(pieces) == "Eight kilos <"
