"""A prompt -> released text, down a ladder: each generator, then the quoted source, then nothing.

A block of a generator's text is released once its passages bear it out; what comes before the first
such block is held. A generator that gets nothing past the check is replaced by the next. Text
without documents is released once it states nothing that would have to be looked up.
"""

from __future__ import annotations

import logging
from collections.abc import Generator as Stream
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from retrieval.words import content_words
from serving.answers import NOT_IN_DOCUMENTS, ChatRequest, Stage, Usage
from serving.blocks import Blocks
from serving.citations import MarkerFilter, markers_in, without_markers
from serving.clock import Clock
from serving.errors import GeneratorError
from serving.generation import GenerationRequest, Generator, Piece
from serving.grounding import Grounding, Verdict
from serving.names import names
from serving.prompts import Prompt
from serving.release import Release, Written
from serving.unlooked_up import unlooked_up
from serving.voice_only import tells_silence

BEST_EVIDENCE = 2  # units, one of which a small generator's first block has to be about
ABOUT_EVIDENCE = 0.6  # share of the block's content words that are the unit's
OF_EVIDENCE = 0.5  # share of the unit's content words that the block has: no fragments
MAX_REMARKS = 3  # uncited sentences of one generator that are left out before it is stopped

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Writer:
    """`generator`, then each of `fallbacks`, then `quoting`, which says nothing of its own.

    A `small` generator is not asked whether the documents hold an answer, nor which of their
    sentences it is: its refusal is not the last word, and it must begin with what the best evidence
    says.
    """

    generator: Generator
    quoting: Generator
    fallbacks: tuple[Generator, ...] = ()
    small: bool = False

    def write(
        self, request: ChatRequest, prompt: Prompt, clock: Clock, *, after: str = ""
    ) -> Stream[str, None, Written]:
        """Yield text that may be shown behind `after`; return what became of it.

        Raises:
            GeneratorError: a model failed when text was shown, or with nothing to quote.
        """
        filtered = MarkerFilter(len(prompt.passages), limit=request.max_citations, after=after)
        run = _Run(request, prompt, Release(filtered, clock), Written(adapter=request.adapter))
        if not self.generator.speaks:
            yield from run.quote(self.quoting)
        elif prompt.passages:
            yield from self._down_the_ladder(run)
        else:
            yield from run.freely(self.generator)
        run.written.text, run.written.markers = filtered.text, filtered.markers
        return run.written

    def _down_the_ladder(self, run: _Run) -> Iterator[str]:
        for generator in (self.generator, *self.fallbacks):
            if generator is not self.generator:
                run.keep_voice_if_known(generator)
            try:
                small = self.small and generator is self.generator
                done = yield from run.grounded(generator, small=small)
            except GeneratorError:
                if run.release.began:
                    raise
                logger.exception("%s failed before the first text", generator.name)
                run.written.lacks("generator")
                done = False
            if done or run.request.cancelled.is_set():
                return
            if run.release.began:
                break
        yield from run.quote(self.quoting)


@dataclass(frozen=True, slots=True)
class _Run:
    """One prompt on its way down the ladder."""

    request: ChatRequest
    prompt: Prompt
    release: Release
    written: Written

    def grounded(self, generator: Generator, *, small: bool) -> Stream[str, None, bool]:
        """Release what the passages bear out; return whether that is an answer or a refusal."""
        self.written.generator = generator.name
        grounding = Grounding(self.prompt.passages, self.prompt.question, self._known_names())
        held, silent, cited, stopped, remarks = "", False, False, False, 0
        with closing(self._blocks(generator, self.written.adapter)) as blocks:
            for block in blocks:
                with self.release.clock.stage("grounding"):
                    finding = grounding.check(block)
                cited = cited or any(n <= len(self.prompt.passages) for n in markers_in(block))
                if finding.verdict is Verdict.VOICE:
                    silent = silent or tells_silence(block)
                    held += without_markers(block)
                elif finding.verdict is Verdict.SUPPORTED:
                    if self.release.markers.exceeds(block):
                        continue
                    if small and not self.release.began and not self._to_the_point(block):
                        logger.info("held back: beside the point: %s", block.strip())
                        stopped = True
                        break
                    text = held + block
                    yield from self.release.show(text if self.release.began else text.lstrip())
                    held = ""
                else:
                    logger.info("held back: %s: %s", finding.reason, block.strip())
                    self.written.unsupported += 1
                    remarks += 1
                    if finding.verdict is Verdict.UNSUPPORTED or remarks > MAX_REMARKS:
                        stopped = True
                        break
                if held and self.release.began:
                    yield from self.release.show(held)
                    held = ""
        yield from self.release.finish()
        if self.release.began:
            return not stopped or self._answers()
        if silent and not stopped:
            if small:
                return False
            yield from self.refuse()
            return True
        if not self.request.cancelled.is_set():
            self.written.lacks("grounding" if cited and self.written.unsupported else "citations")
        return False

    def keep_voice_if_known(self, generator: Generator) -> None:
        """A fallback need not have the adapter that was asked for."""
        adapter = self.request.adapter
        shown = self.request.examples is not None  # to every generator alike
        if adapter is not None and not shown and adapter not in generator.adapters():
            self.written.adapter = None
            self.written.lacks("voice")

    def quote(self, quoting: Generator) -> Iterator[str]:
        """The documents' own words; where there are none, that they don't say."""
        began, earlier = self.release.began, len(self.release.markers.text)
        for piece in self._pieces(quoting, None):
            yield from self.release.show(piece.text, literal=piece.literal)
        yield from self.release.finish()
        self.written.adapter = self.written.adapter if began else None
        self.written.stage = Stage.QUOTED
        self.written.extractive = not began
        empty = not began and len(self.release.markers.text) == earlier
        if empty and not self.request.cancelled.is_set():
            yield from self.refuse()

    def refuse(self) -> Iterator[str]:
        """Say that the documents hold no answer, without a citation."""
        self.written.refused, self.written.stage = True, Stage.REFUSED
        self.written.adapter = None
        yield from self.release.show(NOT_IN_DOCUMENTS, literal=True)

    def freely(self, generator: Generator) -> Iterator[str]:
        """Release what needs no looking up; stop at the first block that states more."""
        self.written.generator = generator.name
        conversation = [message.content for message in self.request.messages]
        with closing(self._blocks(generator, self.request.adapter)) as blocks:
            for block in blocks:
                with self.release.clock.stage("grounding"):
                    fact = unlooked_up(without_markers(block), conversation)
                if fact is not None:
                    logger.info("held back: not in the conversation: %s", fact)
                    self.written.unsupported += 1
                    self.written.stopped = True
                    break
                yield from self.release.show(block if self.release.began else block.lstrip())
        yield from self.release.finish()

    def _blocks(self, generator: Generator, adapter: str | None) -> Stream[str, None, None]:
        blocks = Blocks()
        with closing(self._pieces(generator, adapter)) as pieces:
            for piece in pieces:
                yield from blocks.feed(piece.text)
        if not self.request.cancelled.is_set():
            yield from blocks.finish()

    def _pieces(self, generator: Generator, adapter: str | None) -> Stream[Piece, None, None]:
        """The pieces as they come; the tokens are counted however the stream ends."""
        request = GenerationRequest(
            prompt=self.prompt,
            sampling=self.request.sampling,
            adapter=adapter if self.request.examples is None else None,
            max_citations=self.request.max_citations,
            cancelled=self.request.cancelled,
        )
        usage, pieces = None, 0
        stream = generator.stream(request)
        try:
            for piece in stream:
                self.release.clock.mark("first_token")
                usage = piece.usage or usage
                self.written.truncated = piece.truncated
                self.release.clock.add(piece.timings_ms)
                pieces += bool(piece.text)
                yield piece
        finally:
            if isinstance(stream, Stream):  # frees the model at once
                stream.close()
            self.written.spend(usage or Usage(self.prompt.tokens, pieces))

    def _answers(self) -> bool:
        """Whether what was shown cites the passage that bears most on the question."""
        cited = {marker.passage for marker in self.release.markers.markers}
        count = len(self.prompt.passages)
        best = next((item.index + 1 for item in self.prompt.evidence if item.index < count), None)
        return best is None or best in cited or len(cited) >= self.request.max_citations

    def _to_the_point(self, block: str) -> bool:
        """Whether it says, mostly, what a unit of the evidence that answers best says."""
        text = without_markers(block).lstrip()
        said = content_words(text)
        for item in self.prompt.evidence[:BEST_EVIDENCE]:
            words = content_words(item.unit.text)
            lost_its_beginning = text[:1].islower() and not item.unit.text[:1].islower()
            enough = max(ABOUT_EVIDENCE * len(said), OF_EVIDENCE * len(words))
            if len(said & words) >= enough and not lost_its_beginning:
                return True
        return False

    def _known_names(self) -> frozenset[str]:
        """The voice's own name, and the names in the caller's system messages, folded."""
        own = [
            name for m in self.request.messages if m.role == "system" for name in names(m.content)
        ]
        voice = (self.request.adapter or "").replace("-", " ").replace("_", " ")
        return frozenset(word.lower() for word in [*own, *voice.split()])
