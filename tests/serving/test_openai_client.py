"""The official `openai` client, unchanged, against a real server with the starter documents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessageParam

from tests.conftest import ServerProcess

QUESTION = "How heavy may a cabin bag be?"
SOURCE = "policies/cabin-baggage.md"
MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": QUESTION}]


@pytest.fixture(scope="module")
def client(running_server: ServerProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{running_server.url}/v1", api_key="none", max_retries=0, timeout=60
    ) as client:
        yield client


@pytest.fixture(scope="module")
def completion(client: openai.OpenAI) -> ChatCompletion:
    return client.chat.completions.create(model="twofold", messages=MESSAGES)


@pytest.fixture(scope="module")
def chunks(client: openai.OpenAI) -> list[ChatCompletionChunk]:
    stream = client.chat.completions.create(
        model="twofold", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    return list(stream)


def twofold(reply: ChatCompletion | ChatCompletionChunk) -> dict[str, Any]:
    """Our own object; a typed client keeps what it doesn't know."""
    extra: dict[str, Any] = reply.model_extra or {}
    details: dict[str, Any] = extra["twofold"]
    return details


def test_answer_cites_the_document_that_holds_it(completion: ChatCompletion) -> None:
    assert completion.choices[0].message.content
    assert "8 kg" in completion.choices[0].message.content
    assert SOURCE in {item["source"] for item in twofold(completion)["citations"]}
    assert completion.choices[0].finish_reason == "stop"


def test_ids_are_unique(client: openai.OpenAI, completion: ChatCompletion) -> None:
    again = client.chat.completions.create(model="twofold", messages=MESSAGES)

    assert completion.id.startswith("chatcmpl-")
    assert again.id != completion.id


def test_usage_adds_up(completion: ChatCompletion) -> None:
    usage = completion.usage

    assert usage is not None
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_annotations_span_their_markers_and_open_what_is_quoted(
    completion: ChatCompletion,
) -> None:
    message = completion.choices[0].message
    citations = twofold(completion)["citations"]

    assert message.content is not None
    assert message.annotations
    assert len(message.annotations) == len(citations)
    for annotation, citation in zip(message.annotations, citations, strict=True):
        cited = annotation.url_citation
        opened = httpx.get(cited.url, trust_env=False)
        assert annotation.type == "url_citation"
        assert message.content[cited.start_index : cited.end_index] == f"[{citation['marker']}]"
        assert f"/v1/documents/{citation['document_id']}?passage=" in cited.url
        assert opened.status_code == 200
        assert citation["quote"] in opened.json()["passage"]["text"]
        assert cited.title == opened.json()["title"]


def test_twofold_object_says_how_the_answer_came_about(completion: ChatCompletion) -> None:
    details = twofold(completion)

    assert details["outcome"] == "answered"
    assert details["extractive"] is True
    assert details["passages"]
    assert details["timings_ms"]["total"] > 0


def test_stream_says_the_same_and_cites_once_where_it_finishes(
    completion: ChatCompletion, chunks: list[ChatCompletionChunk]
) -> None:
    spoken = [chunk for chunk in chunks if chunk.choices]
    last = spoken[-1]
    content = "".join(chunk.choices[0].delta.content or "" for chunk in spoken)
    annotated = [
        chunk for chunk in spoken if (chunk.choices[0].delta.model_extra or {}).get("annotations")
    ]
    message = completion.choices[0].message

    assert content == message.content
    assert annotated == [last]
    assert last.choices[0].finish_reason == "stop"
    assert all(chunk.choices[0].finish_reason is None for chunk in spoken[:-1])
    assert [chunk for chunk in spoken if "twofold" in (chunk.model_extra or {})] == [last]
    assert message.annotations is not None
    assert (last.choices[0].delta.model_extra or {})["annotations"] == [
        annotation.model_dump() for annotation in message.annotations
    ]


def test_usage_chunk_without_choices_ends_the_stream(
    completion: ChatCompletion, chunks: list[ChatCompletionChunk]
) -> None:
    assert chunks[-1].choices == []
    assert chunks[-1].usage == completion.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_stream_shares_one_id(chunks: list[ChatCompletionChunk]) -> None:
    assert len({chunk.id for chunk in chunks}) == 1


def test_client_can_leave_a_stream_and_ask_on(client: openai.OpenAI) -> None:
    for _ in range(3):
        with client.chat.completions.create(
            model="twofold", messages=MESSAGES, stream=True
        ) as stream:
            next(iter(stream))

    assert client.chat.completions.create(model="twofold", messages=MESSAGES).choices


def test_extra_body_bounds_citations(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="twofold", messages=MESSAGES, extra_body={"twofold": {"max_citations": 1}}
    )

    assert {item["marker"] for item in twofold(reply)["citations"]} == {1}


def test_at_most_three_passages_are_cited_by_default(completion: ChatCompletion) -> None:
    assert 1 <= len({item["marker"] for item in twofold(completion)["citations"]}) <= 3


def test_system_message_and_history_are_taken(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="twofold:rag",
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
        ],
        temperature=0.2,
        top_p=0.9,
        max_tokens=200,
        stop=["END"],
        seed=1,
        user="me",
    )

    assert "8 kg" in (reply.choices[0].message.content or "")


def test_raw_response_is_plain_json(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="twofold", messages=MESSAGES)

    assert json.loads(raw.text)["object"] == "chat.completion"


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert {"twofold", "twofold:rag", "twofold:hybrid", "twofold:fine_tuned"} <= {
        model.id for model in client.models.list()
    }


def test_one_model_can_be_retrieved(client: openai.OpenAI) -> None:
    assert client.models.retrieve("twofold").id == "twofold"


def test_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)

    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"
    assert "'gpt-4o'" in caught.value.message


def test_fine_tuned_without_language_model_names_the_setting(client: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="twofold:fine_tuned", messages=MESSAGES)

    assert caught.value.status_code == 503
    assert caught.value.code == "no_language_model"
    assert "TWOFOLD_LANGUAGE_MODEL" in caught.value.message


def test_empty_question_is_a_bad_request(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="empty"):
        client.chat.completions.create(
            model="twofold", messages=[{"role": "user", "content": " "}], stream=True
        )


def test_nonsense_is_refused_in_words(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="twofold:rag", messages=[{"role": "user", "content": "qqq xyzzy plugh frotz?"}]
    )

    assert twofold(reply)["outcome"] == "not_in_documents"
    assert reply.choices[0].message.annotations == []


async def ask_async(url: str) -> str:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:
        stream = await client.chat.completions.create(
            model="twofold", messages=MESSAGES, stream=True
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


def test_async_client_streams_too(running_server: ServerProcess) -> None:
    import asyncio

    assert "8 kg" in asyncio.run(ask_async(running_server.url))
