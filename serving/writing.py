"""A prompt -> released text: nothing is shown that neither cites nor says there is nothing.

Text of a language model that was given passages is held until its first valid marker. A model that
cites nothing, or fails before that, is replaced by quotations from the same passages.
"""

from __future__ import annotations

import logging
from collections.abc import Generator as Stream
from dataclasses import dataclass, field

from serving.answers import NOT_IN_DOCUMENTS, ChatRequest, Usage
from serving.citations import Marker, MarkerFilter, without_markers
from serving.clock import Clock
from serving.errors import GeneratorError
from serving.generation import GenerationRequest, Generator
from serving.prompts import Prompt

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Written:
    """What was released."""

    text: str = ""
    markers: list[Marker] = field(default_factory=list)
    usage: Usage = field(default_factory=lambda: Usage(0, 0))
    truncated: bool = False
    refused: bool = False
    extractive: bool = False
    degraded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Writer:
    """`quoting` stands in for `generator` when that fails or does not cite."""

    generator: Generator
    quoting: Generator

    def write(
        self, request: ChatRequest, prompt: Prompt, clock: Clock
    ) -> Stream[str, None, Written]:
        """Yield text that may be shown; return what became of it.

        Raises:
            GeneratorError: the model failed and there is nothing to quote, or text was shown.
        """
        generation = GenerationRequest(
            prompt=prompt,
            sampling=request.sampling,
            adapter=request.adapter,
            max_citations=request.max_citations,
            cancelled=request.cancelled,
        )
        if not self.generator.speaks:
            written = yield from _stream(self.generator, generation, clock, hold=False)
            written.extractive = True
            return written
        failure = "citations"
        try:
            written = yield from _stream(
                self.generator, generation, clock, hold=bool(prompt.passages)
            )
            if written.text or not prompt.passages or request.cancelled.is_set():
                return written
        except GeneratorError:
            if clock.marked("first_text") or not prompt.passages:
                raise
            logger.exception("the generator failed before the first text; quoting instead")
            failure = "generator"
        written = yield from _stream(self.quoting, generation, clock, hold=False)
        written.extractive = True
        written.degraded = (failure,)
        return written


def _stream(
    generator: Generator, request: GenerationRequest, clock: Clock, *, hold: bool
) -> Stream[str, None, Written]:
    """Pass on filtered text; with `hold`, only once it cites. Nothing cited: empty text."""
    markers = MarkerFilter(len(request.prompt.passages), limit=request.max_citations)
    written = Written()
    held = ""
    for piece in generator.stream(request):
        written.usage = piece.usage or written.usage
        written.truncated = piece.truncated
        clock.timings_ms.update(piece.timings_ms)
        held += markers.literal(piece.text) if piece.literal else markers.feed(piece.text)
        cites = bool(markers.markers) and not _refuses(markers.text)
        if held and (not hold or cites):
            clock.mark("first_text")
            yield held
            held = ""
    held += markers.finish()
    if hold and _refuses(markers.text):
        clock.mark("first_text")
        yield NOT_IN_DOCUMENTS
        return Written(text=NOT_IN_DOCUMENTS, usage=written.usage, refused=True)
    if hold and not markers.markers:
        return Written(usage=written.usage)
    if held:
        clock.mark("first_text")
        yield held
    written.text, written.markers = markers.text, markers.markers
    return written


def _refuses(text: str) -> bool:
    """Whether the text is the sentence that the prompt asks for and no more."""
    plain = without_markers(text).strip(" \n\"'“”").replace("’", "'")
    return plain.lower().rstrip(".!") == NOT_IN_DOCUMENTS.rstrip(".").lower()
