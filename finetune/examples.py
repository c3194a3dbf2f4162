"""What a model is trained on: conversations, each ending with the answer it should learn."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """Who speaks."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation whose last turn is the assistant's; `line` is its line or row in the file."""

    line: int
    messages: tuple[Message, ...]

    @property
    def answer(self) -> str:
        """The last turn's text."""
        return self.messages[-1].content
