"""One question, start to end. Each step is one call."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace

from retrieval.documents import ScoredPassage
from retrieval.embedding import Vectors
from retrieval.errors import EmbeddingError
from retrieval.retriever import HybridRetriever
from router.head import IntentHead, Routing
from router.intents import Intent, Route
from serving.answerability import Answerability, Verdict
from serving.answers import NOT_IN_DOCUMENTS, Answer, ChatRequest, Outcome, Stage, Usage
from serving.citations import cite
from serving.clock import Clock
from serving.errors import InvalidRequestError, NoLanguageModelError, UnknownAdapterError
from serving.evidence import Evidence, EvidenceFinder
from serving.follow_up import standalone_query
from serving.prompts import Prompt, PromptBuilder
from serving.release import Written
from serving.voices import Voices
from serving.writing import Writer

logger = logging.getLogger(__name__)

CANDIDATES = 20  # passages retrieved, of which the best supported go into the prompt
MIN_WORD_SHARE = 0.5  # without vectors, one unit must hold this share of the question's words
SMALL_TALK_REPLY = (
    "Hello! I answer questions from this company's documents and cite where each answer stands. "
    "Ask me about a rule, a fee, a deadline or how something is done."
)


@dataclass(frozen=True, slots=True)
class Grounds:
    """What an answer may build on: what was found for the query.

    `answerability` is None when it could not be computed.
    """

    query: str
    passages: tuple[ScoredPassage, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    answerability: float | None = None
    suffice: bool = True
    degraded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Assistant:
    """Everything that answering needs, built once by `serving/wiring.py`.

    `evidence` says what to quote; `judged` looks at the same passages with vectors of their own
    space, which answerability was fitted to.
    """

    retriever: HybridRetriever
    router: IntentHead
    evidence: EvidenceFinder
    judged: EvidenceFinder
    answerability: Answerability
    prompts: PromptBuilder
    writer: Writer
    passages_per_prompt: int
    voices: Voices

    def answer(self, request: ChatRequest) -> Iterator[str | Answer]:
        """Pieces of text as they may be shown, and at the end the whole Answer.

        Raises:
            StoreError: the index is down; facts are never answered without it.
            NoLanguageModelError, UnknownAdapterError: what was asked for is not configured.
        """
        self.check(request)
        clock = Clock()
        query = standalone_query(request.messages)
        with clock.stage("embed"):
            vector = self.retriever.embed(query)
        with clock.stage("route"):
            routing = self._route(request, vector)
        if routing.intent is Intent.SMALL_TALK and not self._speaks_freely(request):
            yield from self._introduce(request, routing, clock)
            return
        request = self.voices.shown(request, vector, self.writer.generator.adapters())
        written, rerouted = Written(), False
        if routing.route is Route.FINE_TUNED and self._speaks_freely(request):
            written, prompt = yield from self._write(request, routing, Grounds(query), clock)
            if not written.stopped:
                yield self._answer(routing, Grounds(query), clock, written, prompt)
                return
            routing, rerouted = replace(routing, route=Route.HYBRID), True
        grounds = self._grounds(query, request, routing, vector, clock)
        if grounds.suffice:
            written, prompt = yield from self._write(request, routing, grounds, clock, written)
            answer = self._answer(routing, grounds, clock, written, prompt)
        else:
            refusal = ("\n\n" if written.text else "") + NOT_IN_DOCUMENTS
            yield refusal
            answer = self._refusal(request, routing, grounds, clock, written.text + refusal)
            answer = replace(answer, unsupported=written.unsupported)
        yield replace(answer, rerouted=rerouted)

    def _answer(
        self,
        routing: Routing,
        grounds: Grounds,
        clock: Clock,
        written: Written,
        prompt: Prompt,
    ) -> Answer:
        """The whole answer, from what was written."""
        return Answer(
            written.text,
            Outcome.NOT_IN_DOCUMENTS if written.refused else Outcome.ANSWERED,
            routing,
            citations=cite(written.text, written.markers, prompt.passages),
            passages=grounds.passages,
            answerability=grounds.answerability,
            extractive=written.extractive,
            adapter=written.adapter,
            degraded=(*grounds.degraded, *written.degraded),
            usage=written.usage,
            truncated=written.truncated,
            grounded=bool(prompt.passages) and not written.refused,
            stage=written.stage,
            unsupported=written.unsupported,
            dropped_passages=prompt.dropped,
            query=grounds.query,
            generator=written.generator,
            timings_ms=clock.stop(),
        )

    def _refusal(
        self, request: ChatRequest, routing: Routing, grounds: Grounds, clock: Clock, text: str
    ) -> Answer:
        """What is said when the passages don't hold the answer."""
        return Answer(
            text,
            Outcome.NOT_IN_DOCUMENTS,
            routing,
            passages=grounds.passages,
            answerability=grounds.answerability,
            degraded=grounds.degraded,
            usage=self._usage(request, NOT_IN_DOCUMENTS),
            stage=Stage.REFUSED,
            query=grounds.query,
            timings_ms=clock.stop(),
        )

    @property
    def speaks(self) -> bool:
        """Whether a language model is configured."""
        return self.writer.generator.speaks

    def voice_names(self) -> list[str]:
        """What a request may name as its voice: adapters, and examples that a model is shown."""
        adapters = list(self.writer.generator.adapters())
        examples = self.voices.names() if self.speaks else []
        return adapters + [name for name in examples if name not in adapters]

    def check(self, request: ChatRequest) -> None:
        """Refuse what cannot be served, before anything is computed."""
        if any(has_surrogates(message.content) for message in request.messages):
            raise InvalidRequestError(
                "a message holds characters that are no Unicode text; send UTF-8", param="messages"
            )
        if not request.question.strip():
            raise InvalidRequestError(
                "the question is empty; write something to ask", param="messages"
            )
        if request.adapter and request.adapter not in self.voice_names():
            known = ", ".join(self.voice_names()) or "none"
            raise UnknownAdapterError(
                f"no adapter {request.adapter!r}; available: {known}", param="model"
            )
        if request.route is Route.FINE_TUNED and not self._speaks_freely(request):
            raise NoLanguageModelError(
                "the fine_tuned route needs a language model, and this server only quotes, or its "
                "model is too small to write without an adapter (TWOFOLD_SMALL_MODEL); set "
                "TWOFOLD_GENERATOR=transformers and TWOFOLD_LANGUAGE_MODEL, or "
                "TWOFOLD_GENERATOR=openai and TWOFOLD_OPENAI_BASE_URL",
                param="model",
            )

    def _speaks_freely(self, request: ChatRequest) -> bool:
        """Whether text without documents can be had: of a small model in a trained voice alone."""
        return self.speaks and (request.adapter is not None or not self.writer.small)

    def _introduce(
        self, request: ChatRequest, routing: Routing, clock: Clock
    ) -> Iterator[str | Answer]:
        """What small talk gets when nothing here can talk."""
        yield SMALL_TALK_REPLY
        yield Answer(
            SMALL_TALK_REPLY,
            Outcome.SMALL_TALK,
            routing,
            usage=self._usage(request, SMALL_TALK_REPLY),
            timings_ms=clock.stop(),
        )

    def _usage(self, request: ChatRequest, reply: str) -> Usage:
        """Tokens of a reply that no generator wrote."""
        count = self.prompts.count_tokens
        return Usage(sum(count(message.content) for message in request.messages), count(reply))

    def _write(
        self,
        request: ChatRequest,
        routing: Routing,
        grounds: Grounds,
        clock: Clock,
        before: Written | None = None,
    ) -> Generator[str, None, tuple[Written, Prompt]]:
        """Have it written, behind what was shown before."""
        with clock.stage("prompt"):
            prompt = self.prompts.build(
                (*(request.examples or ()), *request.messages),
                grounds.passages[: self.passages_per_prompt],
                route=routing.route,
                voice=request.adapter,
                evidence=grounds.evidence,
            )
        before = before or Written()
        with clock.stage("generate"):
            written = yield from self.writer.write(request, prompt, clock, after=before.text)
        written.spend(before.usage)
        written.unsupported += before.unsupported
        return written, prompt

    def _route(self, request: ChatRequest, vector: Vectors | None) -> Routing:
        if request.route is not None:
            return Routing(route=request.route)
        return Routing(route=Route.HYBRID) if vector is None else self.router.route(vector)

    def _grounds(
        self,
        query: str,
        request: ChatRequest,
        routing: Routing,
        vector: Vectors | None,
        clock: Clock,
    ) -> Grounds:
        """Retrieve and judge."""
        found = self.retriever.search(query, CANDIDATES, request.scope, vector=vector)
        clock.timings_ms.update(found.timings_ms)
        with clock.stage("evidence"):
            passages, evidence, verdict, lacking = self._read(query, vector, found.passages)
        # Without a language model, what asks for free text is still shown what there is.
        quotes_anyway = routing.route is Route.FINE_TUNED and bool(passages)
        if verdict is None:
            suffice = any(item.word_share >= MIN_WORD_SHARE for item in evidence)
        else:
            suffice = verdict.suffices
        unvoiced = routing.route is not Route.RAG and not self.speaks
        return Grounds(
            query,
            passages=passages,
            evidence=evidence,
            answerability=verdict.probability if verdict else None,
            suffice=suffice or quotes_anyway,
            degraded=(*found.degraded, *lacking, *(["voice"] if unvoiced else [])),
        )

    def _read(
        self, query: str, vector: Vectors | None, found: Sequence[ScoredPassage]
    ) -> tuple[tuple[ScoredPassage, ...], tuple[Evidence, ...], Verdict | None, tuple[str, ...]]:
        """The passages in order, what to quote of them, whether they suffice, and what failed."""
        try:
            passages, evidence = self.judged.find(query, vector, found)
        except EmbeddingError:
            logger.exception("the embedder failed; words alone decide")
            passages, evidence = self.judged.find(query, None, found)
            return passages, evidence, None, ("embedder",)
        if vector is None:
            return passages, evidence, None, ()
        verdict = self.answerability.judge(passages, evidence)
        if self.evidence is not self.judged:
            try:
                passages, evidence = self.evidence.find(query, vector, found)
            except EmbeddingError:
                logger.exception("the unit embedder failed; the passages' own says what to quote")
                return passages, evidence, verdict, ("unit_embedder",)
        return passages, evidence, verdict, ()


def has_surrogates(text: str) -> bool:
    """Half a character, as JSON can smuggle it in: nothing downstream can encode it."""
    return any("\ud800" <= character <= "\udfff" for character in text)
