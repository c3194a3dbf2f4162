"""What the check and the ladder below it change: every question answered with them and without.

Without: all that the model writes is released, markers that point nowhere aside. Both are asked of
the same system, over the same passages.
"""

from __future__ import annotations

import re
from collections.abc import Generator as Stream
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eval.intervals import Estimate, proportion
from retrieval.documents import Scope
from router.intents import Route
from serving.answers import Answer, ChatRequest, Message, Outcome, Sampling, Stage, Usage
from serving.assistant import Assistant
from serving.citations import MarkerFilter, without_markers
from serving.clock import Clock
from serving.generation import GenerationRequest
from serving.prompts import Prompt
from serving.release import Release, Written
from serving.writing import Writer
from starter.bundle import Question

MAX_WORDS = 80
MAX_CITED = 3
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


@dataclass(frozen=True, slots=True)
class Unchecked(Writer):
    """The model alone."""

    def write(
        self, request: ChatRequest, prompt: Prompt, clock: Clock, *, after: str = ""
    ) -> Stream[str, None, Written]:
        """Everything that it writes."""
        filtered = MarkerFilter(len(prompt.passages), limit=request.max_citations, after=after)
        release = Release(filtered, clock)
        written = Written(adapter=request.adapter, generator=self.generator.name)
        generation = GenerationRequest(
            prompt=prompt,
            sampling=request.sampling,
            adapter=request.adapter if request.examples is None else None,
            max_citations=request.max_citations,
            cancelled=request.cancelled,
        )
        for piece in self.generator.stream(generation):
            clock.mark("first_token")
            written.spend(piece.usage or Usage(0, 0))
            yield from release.show(piece.text)
        yield from release.finish()
        written.text, written.markers = filtered.text, filtered.markers
        return written


@dataclass(frozen=True, slots=True)
class Pair:
    """A question with its answer as the model wrote it, and as it was released."""

    question: Question
    unchecked: Answer
    released: Answer

    def record(self) -> dict[str, Any]:
        """For a result file."""
        return {
            "id": self.question.id,
            "question": self.question.question,
            "facts": self.question.facts,
            "unchecked": self.unchecked.text,
            "released": self.released.text,
            "stage": self.released.stage,
            "outcome": self.released.outcome,
            "timings_ms": dict(self.released.timings_ms),
        }


def ask_pairs(
    assistant: Assistant,
    questions: Sequence[Question],
    *,
    scope: Scope,
    adapter: str | None,
    sampling: Sampling,
) -> Iterator[Pair]:
    """Each question on the route that it belongs to, `rag` or `hybrid`."""
    writer = assistant.writer
    alone = replace(assistant, writer=Unchecked(writer.generator, writer.quoting))
    for question in questions:
        request = ChatRequest(
            (Message("user", question.question),),
            scope=scope,
            route=Route(question.route),
            adapter=adapter,
            sampling=sampling,
        )
        yield Pair(question, _answer(alone, request), _answer(assistant, request))


def _answer(assistant: Assistant, request: ChatRequest) -> Answer:
    *_, last = assistant.answer(request)
    if not isinstance(last, Answer):
        raise TypeError(f"the stream ended with {last!r} instead of an Answer")
    return last


def holds_fact(question: Question, answer: Answer) -> bool:
    """Every gold fact, in at most 80 words that cite at most 3 passages."""
    text = " ".join(without_markers(answer.text).split()).lower()
    cited = {citation.hit.passage.id for citation in answer.citations}
    if len(text.split()) > MAX_WORDS or len(cited) > MAX_CITED:
        return False
    facts = [re.escape(" ".join(fact.split()).lower()) for fact in question.facts]
    return all(re.search(rf"(?<![\w.,]){fact}(?![\w]|[.,]\d)", text) for fact in facts)


def wrong_numbers(answer: Answer) -> list[str]:
    """Numbers of the answer that stand in no passage which it cites, read digit by digit."""
    cited = " ".join(
        f"{hit.passage.context} {hit.passage.text}" for hit in {c.hit for c in answer.citations}
    )
    known = set(_NUMBER.findall(cited))
    return [n for n in _NUMBER.findall(without_markers(answer.text)) if n not in known]


def refused(answer: Answer) -> bool:
    """Whether it says that the documents don't say."""
    return answer.outcome is Outcome.NOT_IN_DOCUMENTS


def own_words(answer: Answer) -> bool:
    """Whether the model's own words were released, not a quotation."""
    return answer.stage is Stage.MODEL


def share(flags: Sequence[bool]) -> Estimate:
    """With its interval."""
    return proportion(sum(flags), len(flags))
