"""POST /v1/chat/completions and GET /v1/models over real HTTP, with scripted language models."""

from __future__ import annotations

import gc
import json
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from router.intents import Intent
from serving.answers import NOT_IN_DOCUMENTS, Usage
from serving.errors import GeneratorBusyError, GeneratorError
from serving.generation import GenerationRequest, Generator, Piece, ScriptedGenerator
from serving.http.app import create_app
from serving.wiring import Twofold
from tests.serving.test_assistant import (
    QUESTION,
    FailingGenerator,
    SwitchableEmbedder,
    open_system,
    vary,
)
from tests.serving.test_openai_generator import listen

LEFT_S = 2.0  # within this a generator hears that its client has left


@dataclass(frozen=True, slots=True)
class Served:
    """A system of a test behind HTTP; `use` changes its generator while it serves."""

    app: FastAPI
    system: Twofold
    http: httpx.Client

    def use(self, generator: Generator | None = None, **variation: Any) -> None:
        varied = vary(self.system, generator=generator, **variation)
        self.app.state.server = replace(self.app.state.server, twofold=varied)

    def ask(self, question: str = QUESTION, **body: Any) -> dict[str, Any]:
        response = self.post(question, **body)
        assert response.status_code == 200, response.text
        reply: dict[str, Any] = response.json()
        return reply

    def post(self, question: str = QUESTION, **body: Any) -> httpx.Response:
        return self.http.post("/v1/chat/completions", json=question_body(question, **body))

    def stream(self, question: str = QUESTION, **body: Any) -> list[dict[str, Any]]:
        """Every event but the closing one, which must be there."""
        response = self.post(question, stream=True, **body)
        assert response.headers["content-type"].startswith("text/event-stream")
        *events, done = [line for line in response.text.split("\n\n") if line]
        assert done == "data: [DONE]"
        return [json.loads(event.removeprefix("data: ")) for event in events]


def question_body(question: str = QUESTION, **body: Any) -> dict[str, Any]:
    return {"model": "twofold", "messages": [{"role": "user", "content": question}], **body}


@contextmanager
def serve(home: Path, **system: Any) -> Iterator[Served]:
    """A system of its own for a test that changes documents or settings."""
    with open_system(home, **system) as twofold:
        app = create_app(twofold)
        with (
            listen(app) as url,
            httpx.Client(base_url=url, timeout=20, trust_env=False) as client,
        ):
            yield Served(app, twofold, client)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    embedder = SwitchableEmbedder()
    with serve(tmp_path_factory.mktemp("home"), embedder=embedder) as served:
        yield served


@pytest.fixture
def served(shared: Served) -> Served:
    shared.use()
    return shared


class SlowGenerator(ScriptedGenerator):
    """A word every 50 ms, one answer at a time, as a language model in this process is."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.running = threading.Lock()

    def stream(self, request: GenerationRequest) -> Iterator[Piece]:
        with self.running:
            for piece in super().stream(request):
                if request.cancelled.wait(0.05):
                    return
                yield piece

    def heard(self) -> bool:
        """Whether the first request was cancelled in time."""
        return self.requests[0].cancelled.wait(LEFT_S)


# A whole answer.


def test_completion_has_openais_shape(served: Served) -> None:
    reply = served.ask()
    (choice,) = reply["choices"]

    assert reply["id"].startswith("chatcmpl-")
    assert reply["object"] == "chat.completion"
    assert reply["model"] == "twofold"
    assert abs(reply["created"] - time.time()) < 60
    assert choice["index"] == 0
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["role"] == "assistant"
    assert "60 euros" in choice["message"]["content"]


def test_ids_are_unique(served: Served) -> None:
    assert len({served.ask()["id"] for _ in range(5)}) == 5


def test_usage_adds_up(served: Served) -> None:
    usage = served.ask()["usage"]

    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert min(usage.values()) > 0


def test_annotations_span_their_markers_and_open_the_quoted_passage(served: Served) -> None:
    reply = served.ask()
    message = reply["choices"][0]["message"]
    citations = reply["twofold"]["citations"]

    assert len(message["annotations"]) == len(citations) > 0
    for annotation, citation in zip(message["annotations"], citations, strict=True):
        cited = annotation["url_citation"]
        marker = message["content"][cited["start_index"] : cited["end_index"]]
        opened = served.http.get(cited["url"])
        assert annotation["type"] == "url_citation"
        assert marker == f"[{citation['marker']}]"
        assert opened.status_code == 200
        assert citation["quote"] in opened.json()["passage"]["text"]
        assert opened.json()["text"][citation["start"] : citation["end"]] == citation["quote"]
        assert cited["title"] == opened.json()["title"]


def test_twofold_object_says_how_the_answer_came_about(served: Served) -> None:
    details = served.ask()["twofold"]

    assert (details["route"], details["intent"], details["outcome"]) == (
        "rag",
        "factual",
        "answered",
    )
    assert 0 <= details["score"] <= 1
    assert 0 <= details["answerability"] <= 1
    assert details["extractive"] is True
    assert (details["stage"], details["grounded"], details["rerouted"]) == ("quoted", True, False)
    assert (details["unsupported"], details["dropped_passages"]) == (0, 0)
    assert details["query"] == QUESTION
    assert not any(item["flagged"] for item in details["passages"])
    assert details["degraded"] == []
    assert details["models"] == {
        "embedder": "hash",
        "unit_embedder": "hash",
        "reranker": None,
        "generator": "extractive",
    }
    assert details["timings_ms"]["total"] > 0
    assert {"source", "text", "score", "dense_rank", "bm25_rank"} <= details["passages"][0].keys()


def test_public_url_starts_the_citations(tmp_path: Path) -> None:
    with serve(tmp_path, public_url="https://help.example/docs/") as served:
        message = served.ask()["choices"][0]["message"]

    url = message["annotations"][0]["url_citation"]["url"]
    assert url.startswith("https://help.example/docs/v1/documents/")


@pytest.mark.parametrize("role", ["system", "developer"])
def test_system_messages_reach_the_language_model(served: Served, role: str) -> None:
    generator = ScriptedGenerator("Tres [1].")
    served.use(generator)
    turns = [
        {"role": role, "content": "Answer in Danish."},
        {"role": "user", "content": "May a cat fly?"},
        {"role": "assistant", "content": "It may [1]."},
        {"role": "user", "content": QUESTION},
    ]
    served.ask(messages=turns)
    (request,) = generator.requests

    assert "Answer in Danish." in request.prompt.system
    assert "60 euros" in request.prompt.system
    assert [message.content for message in request.prompt.messages] == [
        "May a cat fly?",
        "It may [1].",
        QUESTION,
    ]


def test_content_parts_are_joined(served: Served) -> None:
    generator = ScriptedGenerator("Sixty [1].")
    served.use(generator)
    parts = [{"type": "text", "text": "How much "}, {"type": "text", "text": "is it?"}]
    served.ask(messages=[{"role": "user", "content": parts}])

    assert generator.requests[0].prompt.question == "How much is it?"


def test_sampling_is_passed_on_within_the_servers_limit(served: Served) -> None:
    generator = ScriptedGenerator("Sixty [1].")
    served.use(generator)
    served.ask(max_tokens=7, temperature=0.5, top_p=0.9, stop="END", seed=3)
    served.ask(max_completion_tokens=10**9, stop=["A", "B"])
    first, second = (request.sampling for request in generator.requests)

    assert (first.max_new_tokens, first.temperature, first.top_p) == (7, 0.5, 0.9)
    assert (first.stop, first.seed) == (("END",), 3)
    assert (second.max_new_tokens, second.stop) == (512, ("A", "B"))


def test_truncated_text_finishes_by_length(served: Served) -> None:
    class Cut(ScriptedGenerator):
        def stream(self, request: GenerationRequest) -> Iterator[Piece]:
            yield Piece("It costs 60 euros [1] and")
            yield Piece("", truncated=True)

    served.use(Cut(""))

    assert served.ask()["choices"][0]["finish_reason"] == "length"
    assert served.stream()[-1]["choices"][0]["finish_reason"] == "length"


def test_number_of_citations_can_be_asked_for(served: Served) -> None:
    served.use(ScriptedGenerator("It costs 60 euros [1]. A cat may travel [2]."))
    one = served.ask(twofold={"max_citations": 1})

    assert one["choices"][0]["message"]["content"] == "It costs 60 euros [1]."
    assert [item["marker"] for item in one["twofold"]["citations"]] == [1]


def test_collections_bound_the_search(served: Served) -> None:
    reply = served.ask(twofold={"collections": ["elsewhere"]})

    assert reply["twofold"]["outcome"] == "not_in_documents"
    assert reply["choices"][0]["message"]["content"] == NOT_IN_DOCUMENTS
    assert reply["choices"][0]["message"]["annotations"] == []


def test_text_that_counts_in_other_units_still_spans_its_marker(served: Served) -> None:
    served.use(ScriptedGenerator("🧳👩‍👩‍👧 costs 60 € [1]."))
    message = served.ask()["choices"][0]["message"]
    cited = message["annotations"][0]["url_citation"]

    assert message["content"][cited["start_index"] : cited["end_index"]] == "[1]"


# Models.


def test_models_are_the_routes_and_each_with_each_adapter(served: Served) -> None:
    served.use(ScriptedGenerator("Hi.", adapters=["skylark"]))
    models = served.http.get("/v1/models").json()
    routes = {"twofold", "twofold:rag", "twofold:fine_tuned", "twofold:hybrid"}

    assert models["object"] == "list"
    assert {item["id"] for item in models["data"]} == routes | {f"{it}@skylark" for it in routes}
    assert all(item["object"] == "model" for item in models["data"])


@pytest.mark.parametrize("route", ["rag", "fine_tuned", "hybrid"])
def test_model_chooses_the_route(served: Served, route: str) -> None:
    served.use(ScriptedGenerator("Gladly." if route == "fine_tuned" else "Sixty [1]."))
    reply = served.ask(model=f"twofold:{route}")

    assert reply["model"] == f"twofold:{route}"
    assert reply["twofold"]["route"] == route
    assert reply["twofold"]["score"] is None


def test_model_chooses_the_adapter(served: Served) -> None:
    generator = ScriptedGenerator("Sixty [1].", adapters=["skylark"])
    served.use(generator)
    reply = served.ask(model="twofold:rag@skylark")

    assert reply["twofold"]["adapter"] == "skylark"
    assert generator.requests[0].adapter == "skylark"


def test_unknown_adapter_is_404_by_name(served: Served) -> None:
    served.use(ScriptedGenerator("Sixty [1].", adapters=["skylark"]))
    response = served.post(model="twofold@nope")
    error = response.json()["error"]

    assert response.status_code == 404
    assert error["code"] == "adapter_not_found"
    assert error["param"] == "model"
    assert "'nope'" in error["message"]
    assert "skylark" in error["message"]


# Streams.


def test_stream_says_the_text_then_cites_once(served: Served) -> None:
    served.use(ScriptedGenerator("It costs 60 euros [1]. One may weigh 23 kg [1]."))
    whole = served.ask()
    first, *middle, last = served.stream()
    deltas = [event["choices"][0]["delta"] for event in middle]

    assert first["choices"][0]["delta"]["role"] == "assistant"
    assert (
        "".join(delta["content"] for delta in deltas) == whole["choices"][0]["message"]["content"]
    )
    assert len(deltas) > 1
    assert not any("annotations" in delta for delta in deltas)
    assert not any("twofold" in event for event in (first, *middle))
    assert last["choices"][0]["finish_reason"] == "stop"
    assert (
        last["choices"][0]["delta"]["annotations"]
        == (whole["choices"][0]["message"]["annotations"])
    )
    assert last["twofold"]["citations"] == whole["twofold"]["citations"]


def test_chunks_of_a_stream_share_their_head(served: Served) -> None:
    events = served.stream()

    assert {event["object"] for event in events} == {"chat.completion.chunk"}
    assert len({(event["id"], event["created"], event["model"]) for event in events}) == 1
    assert [event["choices"][0]["finish_reason"] for event in events[:-1]] == (
        [None] * (len(events) - 1)
    )


def test_usage_follows_the_last_chunk_when_asked_for(served: Served) -> None:
    *_, finish, usage = served.stream(stream_options={"include_usage": True})

    assert finish["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] > 0
    assert not any("usage" in event for event in served.stream())


def test_refusal_streams_like_any_answer(served: Served) -> None:
    served.use(answerable=False)
    _, text, last = served.stream()

    assert text["choices"][0]["delta"]["content"] == NOT_IN_DOCUMENTS
    assert last["choices"][0]["delta"]["annotations"] == []
    assert last["twofold"]["outcome"] == "not_in_documents"


def test_stream_that_breaks_ends_with_the_error(served: Served) -> None:
    served.use(FailingGenerator("Sixty euros [1]. And"))
    response = served.post(stream=True)
    last = response.text.strip().split("\n\n")[-1]

    assert response.status_code == 200
    assert json.loads(last.removeprefix("data: "))["error"] == {
        "message": "the language model was switched off",
        "type": "server_error",
        "param": None,
        "code": "generator_unavailable",
    }
    assert 'finish_reason": "stop' not in response.text


def test_stream_that_fails_at_once_keeps_its_status(served: Served) -> None:
    served.use(FailingGenerator(""))
    response = served.post(stream=True, model="twofold:fine_tuned")

    assert response.status_code == 503
    assert response.json()["error"]["code"] == "generator_unavailable"


@pytest.mark.parametrize("stream", [False, True])
def test_too_many_questions_at_once_are_told_when_to_come_again(
    served: Served, stream: bool
) -> None:
    class Busy(ScriptedGenerator):
        def stream(self, request: GenerationRequest) -> Iterator[Piece]:
            raise GeneratorBusyError("16 more wait")

    served.use(Busy(""))
    response = served.post(stream=stream, model="twofold:fine_tuned")

    assert response.status_code == 503
    assert response.json()["error"]["code"] == "server_busy"
    assert int(response.headers["retry-after"]) > 0
    assert served.ask()["twofold"]["extractive"]  # with passages at hand, they are quoted


def test_what_the_model_took_is_among_the_timings(served: Served) -> None:
    class Timed(ScriptedGenerator):
        def stream(self, request: GenerationRequest) -> Iterator[Piece]:
            yield Piece("Sixty [1].")
            yield Piece("", usage=Usage(1, 1), timings_ms={"adapter_load": 12.3456})

    served.use(Timed(""))

    assert served.ask()["twofold"]["timings_ms"]["adapter_load"] == 12.35


# Parts that fail: design.md, section 6.


@pytest.mark.parametrize("stream", [False, True])
def test_broken_index_is_503_and_the_probe_says_so(tmp_path: Path, stream: bool) -> None:
    with serve(tmp_path) as served:
        served.use(ScriptedGenerator("From memory: 99 euros [1]."))
        served.system.store.close()
        response = served.post(stream=stream)
        search = served.http.post("/v1/search", json={"query": "suitcase"})

    assert response.status_code == search.status_code == 503
    assert response.json()["error"]["code"] == "index_unavailable"
    assert "99" not in response.text


@pytest.mark.parametrize("path", ["/readyz", "/metrics"])
def test_probes_survive_a_broken_index(tmp_path: Path, path: str) -> None:
    with serve(tmp_path) as served:
        served.system.store.close()
        response = served.http.get(path)

    assert response.status_code == (503 if path == "/readyz" else 200)


def test_degraded_answer_names_the_part(served: Served) -> None:
    served.use(FailingGenerator(""))
    details = served.ask()["twofold"]

    assert details["degraded"] == ["generator"]
    assert details["extractive"] is True


def test_unforeseen_error_is_500_without_its_text_and_the_server_goes_on(served: Served) -> None:
    class Broken(ScriptedGenerator):
        def stream(self, request: GenerationRequest) -> Iterator[Piece]:
            raise RuntimeError("secret detail")

    served.use(Broken(""))
    response = served.post()
    served.use()

    assert response.status_code == 500
    assert response.json()["error"]["type"] == "server_error"
    assert "secret" not in response.text
    assert "60 euros" in served.ask()["choices"][0]["message"]["content"]


def test_no_language_model_is_503_with_the_setting(served: Served) -> None:
    response = served.post(model="twofold:fine_tuned")
    error = response.json()["error"]

    assert response.status_code == 503
    assert error["code"] == "no_language_model"
    assert "TWOFOLD_LANGUAGE_MODEL" in error["message"]


# Clients that leave.


def leave_when(served: Served, read: str) -> None:
    """Ask, read the stream until it has said this, close the connection."""
    with (
        httpx.Client(base_url=served.http.base_url, trust_env=False, timeout=20) as client,
        client.stream("POST", "/v1/chat/completions", json=question_body(stream=True)) as reply,
    ):
        text = ""
        for piece in reply.iter_text():
            text += piece
            if read in text:
                return


def leave_after(served: Served, *, seconds: float, stream: bool) -> None:
    """Ask, and close the connection when nothing has come."""
    with (
        httpx.Client(base_url=served.http.base_url, trust_env=False, timeout=seconds) as client,
        pytest.raises(httpx.ReadTimeout),
    ):
        client.post("/v1/chat/completions", json=question_body(stream=stream))


def test_client_that_leaves_in_mid_stream_stops_the_generator(served: Served) -> None:
    generator = SlowGenerator("Sixty [1]. " + "And it costs 60 euros [1]. " * 400)
    served.use(generator)
    leave_when(served, "And")

    assert generator.heard()
    served.use()
    assert "60 euros" in served.ask()["choices"][0]["message"]["content"]


def test_next_question_to_a_generator_that_was_left_is_answered(served: Served) -> None:
    generator = SlowGenerator("Sixty [1]. " + "And it costs 60 euros [1]. " * 400)
    served.use(generator)
    gc.disable()  # what is left to it is left to chance
    try:
        leave_when(served, "And")
        assert generator.heard()
        assert generator.running.acquire(timeout=LEFT_S)
    finally:
        gc.enable()
        gc.collect()


def test_client_that_leaves_a_whole_answer_stops_the_generator(served: Served) -> None:
    generator = SlowGenerator("Sixty [1]. " + "And it costs 60 euros [1]. " * 400)
    served.use(generator)
    leave_after(served, seconds=0.3, stream=False)

    assert generator.heard()
    generator.text = "Sixty [1]."
    assert served.ask()["choices"][0]["message"]["content"] == "Sixty [1]."


def test_client_that_leaves_before_the_first_text_stops_the_generator(served: Served) -> None:
    generator = SlowGenerator("Without a marker " * 25 + "[1].")
    served.use(generator)
    leave_after(served, seconds=0.3, stream=True)
    heard = generator.heard()
    generator.requests[0].cancelled.set()

    assert heard


def test_questions_at_once_are_all_answered(served: Served) -> None:
    replies: list[int] = []

    def ask() -> None:
        replies.append(served.post(stream=len(replies) % 2 == 0).status_code)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert replies == [200] * 16


def test_probe_answers_while_many_wait_for_the_language_model(served: Served) -> None:
    class Waiting(ScriptedGenerator):
        release = threading.Event()

        def stream(self, request: GenerationRequest) -> Iterator[Piece]:
            self.release.wait(20)
            yield from super().stream(request)

    generator = Waiting("Sixty [1].")
    served.use(generator)
    threads = [threading.Thread(target=served.post) for _ in range(45)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.5)
        assert httpx.get(f"{served.http.base_url}/readyz", timeout=1, trust_env=False).is_success
    finally:
        generator.release.set()
        for thread in threads:
            thread.join()


# Around it.


def test_metrics_count_answers_tokens_and_errors(tmp_path: Path) -> None:
    with serve(tmp_path) as served:
        served.ask()
        served.use(FailingGenerator(""))
        served.ask()
        served.post(model="twofold:fine_tuned")
        text = served.http.get("/metrics").text

    assert 'twofold_answers_total{outcome="answered",route="rag"} 2.0' in text
    assert 'twofold_degraded_total{part="generator"} 1.0' in text
    assert f'twofold_errors_total{{error="{GeneratorError.__name__}"}} 1.0' in text
    assert 'twofold_stage_seconds_count{stage="total"} 2.0' in text
    assert "twofold_documents 3.0" in text


def test_reply_does_not_wait_for_the_receipt_of_its_head(served: Served) -> None:
    times = []
    for _ in range(9):
        started = time.perf_counter()
        served.http.get("/healthz")
        times.append(time.perf_counter() - started)

    assert statistics.median(times) < 0.03  # 2 ms; 44 ms where small packets are held back


def test_probes_answer(served: Served) -> None:
    ready = served.http.get("/readyz")

    assert served.http.get("/healthz").json() == {"status": "ok", "instance": None}
    assert ready.status_code == 200
    assert ready.json()["documents"] == 3
    assert ready.json()["degraded"] == []


def test_small_talk_is_answered_over_http(served: Served) -> None:
    served.use(intent=Intent.SMALL_TALK)

    assert served.ask("Hello!")["twofold"]["outcome"] == "small_talk"
