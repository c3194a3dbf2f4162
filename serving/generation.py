"""The `Generator` seam: a prompt -> pieces of text, and a scripted one for tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from serving.answers import MAX_CITATIONS, Sampling, Usage
from serving.prompts import Prompt


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One generation; `adapter` None means the base model."""

    prompt: Prompt
    sampling: Sampling = field(default_factory=Sampling)
    adapter: str | None = None
    max_citations: int = MAX_CITATIONS
    cancelled: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text of the answer. The last piece carries the usage and whether length ended it.

    `literal` text is a quotation: brackets in it are no markers. `timings_ms` of the last piece
    says what its first token waited for: `queue`, `adapter_load` where an adapter was loaded for
    it, and `prefill`.
    """

    text: str
    literal: bool = False
    usage: Usage | None = None
    truncated: bool = False
    timings_ms: Mapping[str, float] = field(default_factory=dict)


class Generator(Protocol):
    """Writes an answer from a prompt."""

    @property
    def name(self) -> str:
        """Model name, for the answer's record."""
        ...

    @property
    def speaks(self) -> bool:
        """Whether it writes text of its own; False for one that only quotes."""
        ...

    def adapters(self) -> Sequence[str]:
        """Names that a request may give as its adapter."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, as the model counts them; an estimate where its tokenizer is away."""
        ...

    def stream(self, request: GenerationRequest) -> Iterator[Piece]:
        """Pieces as they come; ends early once `request.cancelled` is set.

        Raises:
            GeneratorError: the model cannot run; before the first piece, or in the middle.
        """
        ...


class ScriptedGenerator:
    """Says what it was told to, word by word. Deterministic, for tests."""

    name = "scripted"
    speaks = True

    def __init__(self, text: str, *, adapters: Sequence[str] = ()) -> None:
        self.text = text
        self.requests: list[GenerationRequest] = []
        self._adapters = tuple(adapters)

    def adapters(self) -> Sequence[str]:
        """Those given to the constructor."""
        return self._adapters

    def count_tokens(self, text: str) -> int:
        """A word is a token."""
        return len(text.split())

    def stream(self, request: GenerationRequest) -> Iterator[Piece]:
        """One piece a word; a word is a token."""
        self.requests.append(request)
        words = self.text.split(" ")
        for number, word in enumerate(words):
            if request.cancelled.is_set():
                return
            yield Piece(word if number == 0 else f" {word}")
        yield Piece("", usage=Usage(len(request.prompt.system.split()), len(words)))
