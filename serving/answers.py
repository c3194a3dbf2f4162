"""The nouns of serving: what is asked, what is answered, and what the answer rests on."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from retrieval.documents import Scope, ScoredPassage
from router.head import Routing
from router.intents import Route

MAX_CITATIONS = 3
NOT_IN_DOCUMENTS = "The documents don't say."


class Outcome(StrEnum):
    """What became of a question."""

    ANSWERED = "answered"
    NOT_IN_DOCUMENTS = "not_in_documents"
    SMALL_TALK = "small_talk"


class Stage(StrEnum):
    """Which stage of the ladder an answer comes from; the last, if several wrote it."""

    MODEL = "model"
    QUOTED = "quoted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn; `role` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a generator picks tokens; temperature 0 is greedy."""

    max_new_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "stop", tuple(text for text in self.stop if text))


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A question with its conversation. `route` is None when the router decides.

    `cancelled` is set when the client has left; whoever generates stops then. `examples` are turns
    that show the voice `adapter`, where no adapter is trained for it; None: one is.
    """

    messages: tuple[Message, ...]
    scope: Scope = field(default_factory=Scope)
    route: Route | None = None
    adapter: str | None = None
    examples: tuple[Message, ...] | None = None
    max_citations: int = MAX_CITATIONS
    sampling: Sampling = field(default_factory=Sampling)
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def question(self) -> str:
        """The last user message."""
        return next(m.content for m in reversed(self.messages) if m.role == "user")


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written, counted by the generator's own tokenizer."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Citation:
    """A marker in the answer and the words it stands for.

    `marker_start:marker_end` spans the marker in the answer's text, `start:end` the quoted words
    in the document's; both count code points.
    """

    marker: int
    marker_start: int
    marker_end: int
    hit: ScoredPassage
    quote: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer and everything that says where it came from.

    `grounded`: each of its sentences was checked against the passages that it cites, or is quoted.
    `stage` is None for what no ladder wrote. `rerouted`: the `fine_tuned` route was about to state
    what has to be looked up. `unsupported` counts what was held back, `dropped_passages` those that
    the prompt had no room for. `query` is what was searched for.
    """

    text: str
    outcome: Outcome
    routing: Routing
    citations: tuple[Citation, ...] = ()
    passages: tuple[ScoredPassage, ...] = ()
    answerability: float | None = None
    extractive: bool = False
    adapter: str | None = None
    degraded: tuple[str, ...] = ()
    usage: Usage = Usage(0, 0)
    truncated: bool = False
    grounded: bool = False
    stage: Stage | None = None
    rerouted: bool = False
    unsupported: int = 0
    dropped_passages: int = 0
    query: str = ""
    generator: str | None = None
    timings_ms: Mapping[str, float] = field(default_factory=dict)
