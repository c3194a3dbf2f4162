"""A voice told in the prompt, shown in the prompt, or trained: what each keeps, and what it costs.

Every question is asked on the hybrid route three times, over the same passages, and what the model
writes is judged unchecked: a quotation has no voice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from eval.intervals import Estimate, proportion
from eval.ladder import Unchecked, holds_fact, refused
from eval.voice_recogniser import VoiceRecogniser
from retrieval.documents import Scope
from router.intents import Route
from serving.answers import Answer, ChatRequest, Message, Sampling
from serving.assistant import Assistant
from serving.voices import Voices
from starter import bundle
from starter.bundle import Question


class Method(StrEnum):
    """How the model comes to know the voice."""

    GUIDE = "style guide in the prompt"
    SHOWN = "few-shot: its nearest examples"
    ADAPTER = "adapter"


@dataclass(frozen=True, slots=True)
class Taught:
    """A voice: the adapter of this name, the examples that are shown, and who recognises it."""

    voice: str
    few: Voices
    recogniser: VoiceRecogniser


@dataclass(frozen=True, slots=True)
class Told:
    """What the model wrote for a question, and what it took."""

    method: Method
    question: str
    text: str
    in_voice: bool
    fact_kept: bool
    prompt_tokens: int
    generate_ms: float

    def record(self) -> dict[str, Any]:
        """For a result file."""
        return {
            "method": self.method,
            "question": self.question,
            "text": self.text,
            "in_voice": self.in_voice,
            "fact_kept": self.fact_kept,
            "prompt_tokens": self.prompt_tokens,
            "generate_ms": self.generate_ms,
        }


def style_guide(voice: str) -> str:
    """What a person would be handed.

    Raises:
        FileNotFoundError: there is no such voice.
    """
    return (bundle.VOICES / f"{voice}.guide.md").read_text(encoding="utf-8")


def ask_methods(
    assistant: Assistant,
    questions: Sequence[Question],
    taught: Taught,
    *,
    scope: Scope,
    sampling: Sampling,
) -> Iterator[Told]:
    """Each question by each method.

    Nothing comes where retrieval finds no answer: then no model is asked.
    """
    writer = assistant.writer
    alone = replace(assistant, writer=Unchecked(writer.generator, writer.quoting))
    guide = Message("system", style_guide(taught.voice))
    for question in questions:
        asked = Message("user", question.question)
        plain = ChatRequest((asked,), scope=scope, route=Route.HYBRID, sampling=sampling)
        voiced = replace(plain, adapter=taught.voice)
        vector = assistant.retriever.embed(question.question)
        requests = {
            Method.GUIDE: replace(plain, messages=(guide, asked)),
            Method.SHOWN: taught.few.shown(voiced, vector, adapters=()),
            Method.ADAPTER: voiced,
        }
        for method, request in requests.items():
            *_, answer = alone.answer(request)
            if isinstance(answer, Answer) and not refused(answer):
                yield Told(
                    method,
                    question.question,
                    answer.text,
                    in_voice=taught.recogniser.recognise([answer.text])[0] == taught.voice,
                    fact_kept=holds_fact(question, answer),
                    prompt_tokens=answer.usage.prompt_tokens,
                    generate_ms=answer.timings_ms["generate"],
                )


def method_rows(told: Sequence[Told]) -> Mapping[Method, Mapping[str, Estimate]]:
    """By method: voice recognised, fact kept, and both."""
    rows = {}
    for method in Method:
        own = [item for item in told if item.method is method]
        if own:
            rows[method] = {
                "voice": proportion(sum(item.in_voice for item in own), len(own)),
                "fact": proportion(sum(item.fact_kept for item in own), len(own)),
                "both": proportion(sum(i.in_voice and i.fact_kept for i in own), len(own)),
            }
    return rows
