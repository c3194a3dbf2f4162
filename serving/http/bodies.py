"""What clients send, validated; and OpenAI's `model` names read."""

from __future__ import annotations

import threading
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from retrieval.documents import Scope
from router.intents import Route
from serving.admission import Caller
from serving.answers import MAX_CITATIONS, ChatRequest, Message, Sampling
from serving.assistant import has_surrogates
from serving.errors import InvalidRequestError, QuestionTooLongError, UnknownModelError
from serving.settings import Settings

MODEL = "twofold"
MODELS = (MODEL, *(f"{MODEL}:{route}" for route in Route))


def _unicode(text: str) -> str:
    if has_surrogates(text):
        raise ValueError("half a surrogate pair is no text")
    return text


CollectionName = Annotated[str, AfterValidator(_unicode)]
K = Annotated[int, Field(ge=1, le=100)]
Ks = Annotated[dict[CollectionName, K], Field(min_length=1, max_length=20)]
KOrKs = Annotated[
    Annotated[K, Tag("number")] | Annotated[Ks, Tag("collections")],
    Discriminator(lambda value: "collections" if isinstance(value, dict) else "number"),
]


class TextPart(BaseModel):
    """A content part; only text can be answered."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["text"]
    text: str


class MessageBody(BaseModel):
    """One turn of the conversation."""

    model_config = ConfigDict(extra="ignore")  # name, tool calls: OpenAI's, without use here

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart] | None = None

    def message(self) -> Message:
        """Parts joined; `developer` is today's name of the system role."""
        parts = self.content if isinstance(self.content, list) else []
        text = self.content if isinstance(self.content, str) else "".join(p.text for p in parts)
        return Message("system" if self.role == "developer" else self.role, text)


class StreamOptions(BaseModel):
    """OpenAI's options of a stream."""

    model_config = ConfigDict(extra="ignore")

    include_usage: bool = False


class TwofoldOptions(BaseModel):
    """Our own part of a request; the OpenAI client sends it as `extra_body`."""

    model_config = ConfigDict(extra="forbid")

    collections: list[CollectionName] = []
    max_citations: Annotated[int, Field(ge=1, le=20)] = MAX_CITATIONS


class ChatBody(BaseModel):
    """A chat completion request. OpenAI's fields that mean nothing here are let pass."""

    model_config = ConfigDict(extra="ignore")

    model: str
    messages: Annotated[list[MessageBody], Field(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    n: Literal[1] | None = None
    tools: list[Any] | None = None
    twofold: TwofoldOptions | None = None

    def request(self, caller: Caller, settings: Settings) -> ChatRequest:
        """The question as the assistant takes it.

        Raises:
            UnknownModelError, QuestionTooLongError, InvalidRequestError.
        """
        route, adapter = parse_model(self.model)
        own = self.twofold or TwofoldOptions()
        if self.tools:
            raise InvalidRequestError("tools are not supported; leave `tools` out", param="tools")
        messages = tuple(body.message() for body in self.messages)
        if messages[-1].role != "user":
            raise InvalidRequestError("the last message must be the user's", param="messages")
        if len(messages[-1].content) > settings.max_question_chars:
            raise QuestionTooLongError(
                f"the question has {len(messages[-1].content):,} characters, at most "
                f"{settings.max_question_chars:,} are taken; put long texts into a document "
                "(POST /v1/documents) and ask about it",
                param="messages",
            )
        asked = self.max_completion_tokens or self.max_tokens or settings.max_new_tokens
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return ChatRequest(
            messages=messages,
            scope=Scope(caller.tenant, caller.groups, tuple(own.collections)),
            route=route,
            adapter=adapter,
            max_citations=own.max_citations,
            sampling=Sampling(
                max_new_tokens=min(asked, settings.max_new_tokens),
                temperature=self.temperature or 0.0,
                top_p=self.top_p or 1.0,
                stop=tuple(stop),
                seed=self.seed,
            ),
            cancelled=threading.Event(),
        )


class SearchBody(BaseModel):
    """A search without an answer."""

    model_config = ConfigDict(extra="forbid")

    query: Annotated[str, Field(min_length=1)]
    k: KOrKs = 10
    collections: list[CollectionName] = []

    @model_validator(mode="after")
    def _say_collections_once(self) -> Self:
        if isinstance(self.k, dict) and self.collections:
            raise ValueError("k names the collections already; leave `collections` out")
        return self


def parse_model(name: str) -> tuple[Route | None, str | None]:
    """`twofold[:ROUTE][@ADAPTER]` -> route (None: the router decides) and adapter.

    >>> parse_model("twofold:rag@skylark")
    (<Route.RAG: 'rag'>, 'skylark')
    """
    base, _, adapter = name.partition("@")
    if base not in MODELS or name.endswith("@"):
        raise UnknownModelError(
            f"no model {name!r}; there are {', '.join(MODELS)}, each also with @ADAPTER",
            param="model",
        )
    _, _, route = base.partition(":")
    return Route(route) if route else None, adapter or None
