"""One question through real parts: what is answered, refused, and what a failing part costs.

`open_system` and `vary` build that system for other serving tests too: the product's own wiring
over a folder of the test, with vectors, routes and the decision to answer made predictable.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from retrieval.documents import Scope
from retrieval.embedding import Embedder, HashEmbedder, Vectors
from retrieval.errors import EmbeddingError, RetrievalError, StoreError
from retrieval.ingest import SourceFile
from retrieval.onnx_embedder import OnnxEmbedder
from router.head import IntentHead
from router.intents import Intent, Route
from serving import wiring
from serving.answerability import SEARCH_SIGNALS, Answerability, Weighing
from serving.answers import NOT_IN_DOCUMENTS, Answer, ChatRequest, Message, Outcome, Usage
from serving.assistant import SMALL_TALK_REPLY
from serving.errors import (
    GeneratorError,
    InvalidRequestError,
    NoLanguageModelError,
    UnknownAdapterError,
)
from serving.evidence import EvidenceFinder
from serving.generation import GenerationRequest, Generator, Piece, ScriptedGenerator
from serving.settings import Settings
from serving.wiring import Twofold
from starter import bundle

DOCUMENTS = {
    "pets.md": "# Pets\n\nA cat may travel in the cabin. Its carrier weighs at most 8 kg.\n",
    "bags.md": "# Bags\n\nA suitcase may weigh 23 kg. A second suitcase costs 60 euros.\n",
    "lounge.md": "# Lounge\n\nThe lounge opens at 05:30. Guests of members pay 35 euros.\n",
}
QUESTION = "How much does a second suitcase cost?"


class SwitchableEmbedder(HashEmbedder):
    """Counts the texts that it embeds, and fails while `down`."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.embedded = 0

    def embed(self, texts: Sequence[str]) -> Vectors:
        if self.down:
            raise EmbeddingError("the embedder was switched off")
        self.embedded += len(texts)
        return super().embed(texts)


class FailingGenerator(ScriptedGenerator):
    """Says its words, then fails."""

    def stream(self, request: GenerationRequest) -> Iterator[Piece]:
        if self.text:
            yield from super().stream(request)
        raise GeneratorError("the language model was switched off")


@contextmanager
def open_system(
    home: Path,
    *,
    embedder: Embedder | None = None,
    documents: Mapping[str, str] = DOCUMENTS,
    **settings: Any,
) -> Iterator[Twofold]:
    """The product's own wiring over a folder; every question is one of fact, with an answer."""
    embedder = embedder or HashEmbedder()
    head = home / "models" / "head.safetensors"
    judge = home / "models" / "answerability.safetensors"
    intent_head(Intent.FACTUAL, embedder).save(head)
    verdict(embedder, answerable=True).save(judge)
    configured = Settings(home=home, router_head=head, answerability=judge, **settings)
    with (
        patch.object(wiring, "build_embedder", return_value=embedder),
        wiring.open_twofold(configured) as twofold,
    ):
        for source, text in documents.items():
            twofold.ingestor.put(SourceFile(source, text.encode()))
        yield twofold


def intent_head(intent: Intent, embedder: Embedder) -> IntentHead:
    """Sees the same intent in every question."""
    bias = np.array([20.0 * (each is intent) for each in Intent], dtype=np.float32)
    weights = np.zeros((len(Intent), embedder.dimension), dtype=np.float32)
    return IntentHead(weights, bias, temperature=1.0, threshold=0.5, embedder=embedder.name)


def verdict(embedder: Embedder, *, answerable: bool) -> Answerability:
    """Judges every question alike, once there are passages."""
    none = np.zeros(len(SEARCH_SIGNALS), dtype=np.float32)
    bias = 9.0 if answerable else -9.0
    return Answerability(embedder.name, Weighing(none, none, none + 1, bias, threshold=0.5))


def vary(
    twofold: Twofold,
    *,
    generator: Generator | None = None,
    intent: Intent = Intent.FACTUAL,
    answerable: bool = True,
) -> Twofold:
    """The same open system with another generator, intent or decision to answer."""
    assistant = twofold.assistant
    writer = assistant.writer
    return replace(
        twofold,
        assistant=replace(
            assistant,
            router=intent_head(intent, twofold.embedder),
            answerability=verdict(twofold.embedder, answerable=answerable),
            writer=writer if generator is None else replace(writer, generator=generator),
        ),
    )


@pytest.fixture(scope="module")
def embedder() -> SwitchableEmbedder:
    return SwitchableEmbedder()


@pytest.fixture(scope="module")
def system(
    tmp_path_factory: pytest.TempPathFactory, embedder: SwitchableEmbedder
) -> Iterator[Twofold]:
    """Shared by the tests that only ask."""
    with open_system(tmp_path_factory.mktemp("home"), embedder=embedder) as twofold:
        yield twofold


@pytest.fixture
def embedder_down(embedder: SwitchableEmbedder) -> Iterator[None]:
    embedder.down = True
    yield
    embedder.down = False


def ask(twofold: Twofold, question: str = QUESTION, **request: Any) -> tuple[list[str], Answer]:
    """Pieces and answer; together the pieces are the answer's text."""
    chat = ChatRequest(messages=(Message("user", question),), **request)
    *pieces, answer = twofold.assistant.answer(chat)
    assert isinstance(answer, Answer)
    texts = [piece for piece in pieces if isinstance(piece, str)]
    assert len(texts) == len(pieces)
    assert "".join(texts) == answer.text
    return texts, answer


def test_question_is_quoted_with_the_place_of_every_quote(system: Twofold) -> None:
    _, answer = ask(system)
    texts = {item.id: item.text for item in system.catalogue.live(Scope())}

    assert answer.outcome is Outcome.ANSWERED
    assert answer.extractive
    assert answer.routing.route is Route.RAG
    assert answer.degraded == ()
    assert "“A second suitcase costs 60 euros.” [1]" in answer.text
    assert answer.citations
    for citation in answer.citations:
        marker = answer.text[citation.marker_start : citation.marker_end]
        text = texts[citation.hit.passage.document_id]
        assert marker == f"[{citation.marker}]"
        assert text[citation.start : citation.end] == citation.quote


def test_answer_reports_usage_and_timings_of_each_stage(system: Twofold) -> None:
    _, answer = ask(system)

    stages = {"embed", "route", "search", "evidence", "prompt", "generate", "first_text", "total"}
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens > 0
    assert stages <= answer.timings_ms.keys()
    assert all(0 <= ms <= answer.timings_ms["total"] for ms in answer.timings_ms.values())


def test_language_model_answer_keeps_its_own_words_and_usage(system: Twofold) -> None:
    generator = ScriptedGenerator("A second one costs 60 euros [1]. One may weigh 23 kg [1].")
    pieces, answer = ask(vary(system, generator=generator))

    assert len(pieces) > 1
    assert answer.text == generator.text
    assert [citation.quote for citation in answer.citations] == [
        "A second suitcase costs 60 euros.",
        "A suitcase may weigh 23 kg.",
    ]
    assert not answer.extractive
    assert answer.usage == Usage(len(generator.requests[0].prompt.system.split()), 13)


def test_unanswerable_question_is_refused_without_generating(system: Twofold) -> None:
    generator = ScriptedGenerator("Invented [1].")
    _, answer = ask(vary(system, generator=generator, answerable=False))

    assert answer.text == NOT_IN_DOCUMENTS
    assert answer.outcome is Outcome.NOT_IN_DOCUMENTS
    assert answer.citations == ()
    assert generator.requests == []


def test_question_over_no_documents_is_refused(system: Twofold) -> None:
    _, answer = ask(system, scope=Scope(collections=("empty",)))

    assert answer.outcome is Outcome.NOT_IN_DOCUMENTS


def test_small_talk_without_language_model_introduces_itself(system: Twofold) -> None:
    _, answer = ask(vary(system, intent=Intent.SMALL_TALK), "Hello!")

    assert answer.text == SMALL_TALK_REPLY
    assert answer.outcome is Outcome.SMALL_TALK
    assert answer.citations == ()


@pytest.mark.parametrize(
    ("intent", "answerable"), [(Intent.SMALL_TALK, True), (Intent.FACTUAL, False)]
)
def test_reply_without_generator_counts_its_tokens(
    system: Twofold, intent: Intent, answerable: bool
) -> None:
    _, answer = ask(vary(system, intent=intent, answerable=answerable))

    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens > 0


def test_long_question_counts_all_its_tokens(tmp_path: Path, models_dir: Path) -> None:
    embedder = OnnxEmbedder.bundled(models_dir, adapter_dir=bundle.EMBEDDER_ADAPTER)
    with open_system(tmp_path, embedder=embedder) as twofold:
        _, answer = ask(twofold, "suitcase " * 2000)

    assert answer.usage.prompt_tokens > 2000


def test_small_talk_with_language_model_is_its_to_answer(system: Twofold) -> None:
    generator = ScriptedGenerator("Good morning to you [1].")
    _, answer = ask(vary(system, generator=generator, intent=Intent.SMALL_TALK), "Good morning!")

    assert answer.text.startswith("Good morning to you")


def test_creative_question_without_language_model_is_marked_voiceless(system: Twofold) -> None:
    varied = vary(system, intent=Intent.CREATIVE, answerable=False)
    _, answer = ask(varied, "Write a jingle about a second suitcase.")

    assert answer.degraded == ("voice",)
    assert answer.extractive
    assert answer.citations


def test_fine_tuned_route_reads_no_document(system: Twofold) -> None:
    generator = ScriptedGenerator("Fly with us.")
    _, answer = ask(vary(system, generator=generator), route=Route.FINE_TUNED)

    assert answer.text == "Fly with us."
    assert answer.passages == ()
    assert "60 euros" not in generator.requests[0].prompt.system
    assert "State no amount" in generator.requests[0].prompt.system


def test_small_model_without_a_voice_writes_nothing_of_its_own(system: Twofold) -> None:
    varied = vary(system, generator=ScriptedGenerator("The a of the."))
    small = replace(varied.assistant, writer=replace(varied.assistant.writer, small=True))
    with pytest.raises(NoLanguageModelError, match="TWOFOLD_SMALL_MODEL"):
        list(small.answer(ChatRequest((Message("user", "Hello!"),), route=Route.FINE_TUNED)))


def test_fine_tuned_route_without_language_model_names_the_setting(system: Twofold) -> None:
    with pytest.raises(NoLanguageModelError, match="TWOFOLD_LANGUAGE_MODEL"):
        ask(system, route=Route.FINE_TUNED)


def test_chosen_route_is_kept_without_a_score(system: Twofold) -> None:
    _, answer = ask(vary(system, intent=Intent.SMALL_TALK), route=Route.HYBRID)

    assert answer.routing.route is Route.HYBRID
    assert answer.routing.intent is None
    assert answer.routing.score is None


@pytest.mark.parametrize("question", ["", "  \n\t"])
def test_empty_question_is_refused_as_invalid(system: Twofold, question: str) -> None:
    with pytest.raises(InvalidRequestError, match="empty"):
        ask(system, question)


def test_unknown_adapter_is_named_with_those_that_exist(system: Twofold) -> None:
    generator = ScriptedGenerator("Hi [1].", adapters=["skylark", "northwind"])
    with pytest.raises(UnknownAdapterError, match=r"'nope'.*skylark, northwind"):
        ask(vary(system, generator=generator), adapter="nope")
    assert generator.requests == []


def test_adapter_reaches_the_generator_and_the_answer(system: Twofold) -> None:
    generator = ScriptedGenerator("Sixty euros [1].", adapters=["skylark"])
    _, answer = ask(vary(system, generator=generator), adapter="skylark")

    assert answer.adapter == "skylark"
    assert generator.requests[0].adapter == "skylark"


# What a failing part costs: design.md, section 6.


@pytest.mark.usefixtures("embedder_down")
def test_embedder_down_leaves_bm25(system: Twofold) -> None:
    _, answer = ask(system)

    assert "embedder" in answer.degraded
    assert "60 euros" in answer.text
    assert all(hit.dense_rank is None for hit in answer.passages)
    assert answer.answerability is None


@pytest.mark.usefixtures("embedder_down")
def test_embedder_down_with_language_model_is_the_only_loss(system: Twofold) -> None:
    generator = ScriptedGenerator("It costs 60 euros [1].")
    _, answer = ask(vary(system, generator=generator))

    assert answer.degraded == ("embedder",)
    assert answer.text == "It costs 60 euros [1]."
    assert "A second suitcase costs 60 euros." in generator.requests[0].prompt.system


@pytest.mark.usefixtures("embedder_down")
def test_embedder_down_still_refuses_what_no_passage_holds(system: Twofold) -> None:
    _, answer = ask(system, "Which suitcase manufacturer sponsors the orchestra in Vienna?")

    assert answer.outcome is Outcome.NOT_IN_DOCUMENTS
    assert "embedder" in answer.degraded


def test_embedder_failing_after_the_question_is_marked(tmp_path: Path) -> None:
    class FailsOnUnits(HashEmbedder):
        down = False

        def embed(self, texts: Sequence[str]) -> Vectors:
            if self.down and len(texts) > 1:
                raise EmbeddingError("out of memory")
            return super().embed(texts)

    embedder = FailsOnUnits()
    with open_system(tmp_path, embedder=embedder) as twofold:
        embedder.down = True
        _, answer = ask(twofold)

    assert "60 euros" in answer.text
    assert answer.degraded == ("embedder",)


def test_units_are_told_by_one_embedder_and_answers_judged_by_the_other(tmp_path: Path) -> None:
    of_units = SwitchableEmbedder()
    with (
        patch.object(wiring, "build_unit_embedder", return_value=of_units),
        open_system(tmp_path, embedder=HashEmbedder(64)) as twofold,
    ):
        _, answer = ask(twofold)
        asked = of_units.embedded
        of_units.down = True
        _, again = ask(twofold, "How much may a suitcase weigh?")

    assert "60 euros" in answer.text
    assert answer.answerability is not None
    assert answer.degraded == ()
    assert asked > 1  # the question and the units
    assert "23 kg" in again.text
    assert again.answerability is not None
    assert again.degraded == ("unit_embedder",)


def test_without_an_embedder_of_units_the_passages_own_does_both(system: Twofold) -> None:
    assert system.assistant.evidence is system.assistant.judged


@pytest.mark.parametrize("generator", [None, ScriptedGenerator("From memory: 99 euros [1].")])
def test_broken_index_is_never_answered(tmp_path: Path, generator: Generator | None) -> None:
    with open_system(tmp_path) as twofold:
        twofold.store.close()
        for route in (None, Route.RAG, Route.HYBRID):
            request = ChatRequest(messages=(Message("user", QUESTION),), route=route)
            with pytest.raises(StoreError, match="index"):
                next(vary(twofold, generator=generator).assistant.answer(request))


def test_lost_index_is_not_taken_for_documents_that_say_nothing(tmp_path: Path) -> None:
    with open_system(tmp_path):
        pass
    shutil.rmtree(tmp_path / "index")
    try:
        with open_system(tmp_path, documents={}) as twofold:
            _, answer = ask(twofold)
    except RetrievalError:
        return
    assert answer.outcome is Outcome.ANSWERED


def test_index_that_lost_a_part_is_completed(tmp_path: Path) -> None:
    with open_system(tmp_path) as twofold:
        lost = next(item for item in twofold.catalogue.live(Scope()) if item.source == "bags.md")
        twofold.store.delete(lost.id)
    with open_system(tmp_path, documents={}) as twofold:
        _, answer = ask(twofold)

    assert "60 euros" in answer.text


@pytest.mark.parametrize("held", ["", "It costs 99 euros"])
def test_generator_failing_before_first_text_is_replaced_by_quotes(
    system: Twofold, held: str
) -> None:
    _, answer = ask(vary(system, generator=FailingGenerator(held)))

    assert answer.degraded == ("generator",)
    assert answer.extractive
    assert "“A second suitcase costs 60 euros.” [1]" in answer.text
    assert "99" not in answer.text
    assert answer.citations


def test_generator_failing_after_first_text_fails_the_answer(system: Twofold) -> None:
    varied = vary(system, generator=FailingGenerator("Sixty euros [1]. And"))
    events = varied.assistant.answer(ChatRequest(messages=(Message("user", QUESTION),)))

    assert next(events)
    with pytest.raises(GeneratorError, match="switched off"):
        list(events)


def test_generator_failing_with_nothing_to_quote_fails_the_answer(system: Twofold) -> None:
    with pytest.raises(GeneratorError, match="switched off"):
        ask(vary(system, generator=FailingGenerator("")), route=Route.FINE_TUNED)


def test_generator_that_cites_nothing_is_replaced_by_quotes(system: Twofold) -> None:
    generator = ScriptedGenerator("It costs 99 euros, I believe.", adapters=["skylark"])
    pieces, answer = ask(vary(system, generator=generator), adapter="skylark")

    assert answer.degraded == ("citations",)
    assert answer.extractive
    assert answer.adapter is None
    assert not any("99" in piece for piece in pieces)
    assert "60 euros" in answer.text


def test_invented_marker_is_cut(system: Twofold) -> None:
    generator = ScriptedGenerator("Happy to help [7]! A suitcase may weigh 23 kg [1].")
    _, answer = ask(vary(system, generator=generator))

    assert len(answer.passages) == 3
    assert answer.text == "Happy to help! A suitcase may weigh 23 kg [1]."
    assert [citation.marker for citation in answer.citations] == [1]


def test_refusal_with_a_marker_cites_nothing(system: Twofold) -> None:
    generator = ScriptedGenerator("The documents don't say. [1]")
    _, answer = ask(vary(system, generator=generator))

    assert answer.text == NOT_IN_DOCUMENTS
    assert answer.outcome is Outcome.NOT_IN_DOCUMENTS
    assert answer.citations == ()
    assert not answer.extractive


@pytest.mark.parametrize(("limit", "cited"), [(1, {1}), (2, {1, 2}), (3, {1, 2, 3})])
def test_number_of_cited_passages_is_limited(system: Twofold, limit: int, cited: set[int]) -> None:
    generator = ScriptedGenerator(
        "A second suitcase costs 60 euros [1]. A cat may travel in the cabin [2]. "
        "The lounge opens at 05:30 [3]. A suitcase may weigh 23 kg [1]."
    )
    _, written = ask(vary(system, generator=generator), max_citations=limit)
    _, quoted = ask(system, max_citations=limit)

    assert {citation.marker for citation in written.citations} == cited
    assert written.text.endswith("A suitcase may weigh 23 kg [1].")
    assert 1 in {citation.marker for citation in quoted.citations} <= cited


def test_deleted_document_no_longer_answers(tmp_path: Path) -> None:
    with open_system(tmp_path) as twofold:
        _, before = ask(twofold)
        twofold.ingestor.delete(before.citations[0].hit.passage.document_id, Scope())
        _, after = ask(twofold)

    assert "60 euros" in before.text
    assert "60 euros" not in after.text


def test_replaced_document_answers_with_its_new_text(tmp_path: Path) -> None:
    with open_system(tmp_path) as twofold:
        ask(twofold)
        twofold.ingestor.put(SourceFile("bags.md", b"# Bags\n\nA second one costs 75 euros.\n"))
        _, answer = ask(twofold)

    assert "75 euros" in answer.text
    assert "60 euros" not in answer.text


def test_document_added_again_is_judged_by_its_new_text(tmp_path: Path) -> None:
    with open_system(tmp_path, documents={"bags.md": "Zebras graze quietly.\n"}) as twofold:
        ask(twofold)
        twofold.ingestor.delete(twofold.catalogue.live(Scope())[0].id, Scope())
        twofold.ingestor.put(SourceFile("bags.md", DOCUMENTS["bags.md"].encode()))
        vector = twofold.retriever.embed(QUESTION)
        found = twofold.retriever.search(QUESTION, 5, Scope(), vector=vector)
        _, remembered = twofold.assistant.evidence.find(QUESTION, vector, found.passages)
        _, fresh = EvidenceFinder(twofold.embedder).find(QUESTION, vector, found.passages)

    assert [item.cosine for item in remembered] == pytest.approx([item.cosine for item in fresh])


def test_failed_update_does_not_come_back_over_a_later_one(tmp_path: Path) -> None:
    embedder = SwitchableEmbedder()
    with open_system(tmp_path, embedder=embedder) as twofold:
        embedder.down = True
        with pytest.raises(EmbeddingError):
            twofold.ingestor.put(SourceFile("bags.md", b"# Bags\n\nA wrong price: 1 euro.\n"))
        embedder.down = False
        twofold.ingestor.put(SourceFile("bags.md", b"# Bags\n\nA second one costs 80 euros.\n"))
    with open_system(tmp_path, embedder=embedder, documents={}) as twofold:
        _, answer = ask(twofold)

    assert "80 euros" in answer.text


def test_second_start_embeds_nothing(tmp_path: Path) -> None:
    embedder = SwitchableEmbedder()
    with open_system(tmp_path, embedder=embedder):
        pass
    indexed = embedder.embedded
    with open_system(tmp_path, embedder=embedder, documents={}) as twofold:
        embedded_at_start = embedder.embedded - indexed
        _, answer = ask(twofold)

    assert indexed >= len(DOCUMENTS)
    assert embedded_at_start == 0
    assert "60 euros" in answer.text
