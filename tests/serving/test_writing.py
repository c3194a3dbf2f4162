"""What of a generator's text is shown: nothing that neither cites nor says there is nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from serving.answers import NOT_IN_DOCUMENTS, ChatRequest, Message, Stage, Usage
from serving.clock import Clock
from serving.errors import GeneratorError
from serving.evidence import Evidence
from serving.extractive_generator import ExtractiveGenerator
from serving.generation import GenerationRequest, Generator, Piece, ScriptedGenerator
from serving.prompts import Prompt
from serving.release import Written
from serving.sentences import units
from serving.writing import Writer
from tests.serving.test_citations import PETS, hit


class Pieces(ScriptedGenerator):
    """Says exactly these pieces; an error among them is raised there."""

    def __init__(self, *pieces: Piece | Exception) -> None:
        super().__init__("")
        self.pieces = pieces
        self.taken = 0

    def stream(self, request: GenerationRequest) -> Iterator[Piece]:
        self.requests.append(request)
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            self.taken += 1
            yield piece


def a_prompt(*texts: str) -> Prompt:
    passages = tuple(hit(text, title=f"Page {n}") for n, text in enumerate(texts, start=1))
    evidence = tuple(
        Evidence(index, unit, score=1.0, cosine=1.0, word_share=1.0)
        for index, text in enumerate(texts)
        for unit in units(text)[:1]
    )
    return Prompt("system", (Message("user", "?"),), "?", passages, evidence)


def write(
    generator: Generator, prompt: Prompt, request: ChatRequest | None = None
) -> tuple[list[str], Written]:
    """The pieces that were shown, and what was said of them."""
    writer = Writer(
        generator=generator, quoting=ExtractiveGenerator(lambda text: len(text.split()))
    )
    return finish(writer, request or ChatRequest(messages=prompt.messages), prompt)


def finish(writer: Writer, request: ChatRequest, prompt: Prompt) -> tuple[list[str], Written]:
    stream = writer.write(request, prompt, Clock())
    shown = []
    while True:
        try:
            shown.append(next(stream))
        except StopIteration as end:
            written: Written = end.value
            return shown, written


def said(text: str) -> tuple[list[str], Written]:
    return write(ScriptedGenerator(text), a_prompt(PETS, PETS, PETS))


def test_text_is_held_until_a_sentence_is_borne_out_and_flows_by_sentences() -> None:
    shown, written = said("Good morning! At most 8 kg [1]. It stays closed [1].")

    assert shown == ["Good morning! At most 8 kg [1].", " It stays closed [1]."]
    assert written.text == "".join(shown)
    assert written.stage is Stage.MODEL
    assert written.unsupported == 0
    assert not written.extractive


def test_without_passages_text_flows_at_once() -> None:
    shown, written = write(ScriptedGenerator("Good morning to you. How are you?"), a_prompt())

    assert shown == ["Good morning to you.", " How are you?"]
    assert written.text == "".join(shown)
    assert written.degraded == ()


@pytest.mark.parametrize(
    "text",
    [
        "The documents don't say.",
        "The documents don't say. [1]",
        "The documents don’t say [1].",
        "“The documents don't say.”",
        "\n the documents don't say",
    ],
)
def test_refusal_is_shown_alone_in_our_words(text: str) -> None:
    shown, written = said(text)

    assert shown == [NOT_IN_DOCUMENTS]
    assert written.text == NOT_IN_DOCUMENTS
    assert written.refused
    assert written.markers == []


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        ("At most 8 kg [1].", Stage.MODEL),  # what the best evidence says
        ("Lifts are slow [2].", Stage.QUOTED),  # borne out, and beside the point
        ("The documents don't say.", Stage.QUOTED),  # not the last word
    ],
)
def test_small_generator_is_held_to_the_best_evidence(text: str, stage: Stage) -> None:
    prompt = a_prompt("At most 8 kg.", "Ramps are steep. Lifts are slow.")
    small = Writer(
        ScriptedGenerator(text), ExtractiveGenerator(lambda words: len(words.split())), small=True
    )
    _, written = finish(small, ChatRequest(messages=prompt.messages), prompt)
    assert written.stage is stage
    assert "8 kg" in written.text
    assert not written.refused


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        ("A crate for a dog may weigh 8 kg [1].", Stage.MODEL),
        ("Only the crate [1].", Stage.QUOTED),
        ("8 kg [1].", Stage.QUOTED),
        ("crate for a dog may weigh at most 8 kg on board [1].", Stage.QUOTED),
    ],
)
def test_small_generators_fragment_of_the_evidence_is_quoted_instead(
    text: str, stage: Stage
) -> None:
    prompt = a_prompt("A wooden crate for a dog may weigh at most 8 kg on board.")
    small = Writer(
        ScriptedGenerator(text), ExtractiveGenerator(lambda words: len(words.split())), small=True
    )
    _, written = finish(small, ChatRequest(messages=prompt.messages), prompt)

    assert written.stage is stage
    assert "8 kg" in written.text


def test_small_generator_may_copy_what_begins_in_lower_case() -> None:
    prompt = a_prompt("- the training certificate of the dog\n- its crate")
    small = Writer(
        ScriptedGenerator("the training certificate of the dog [1]."),
        ExtractiveGenerator(lambda words: len(words.split())),
        small=True,
    )
    _, written = finish(small, ChatRequest(messages=prompt.messages), prompt)

    assert written.stage is Stage.MODEL


def test_answer_that_opens_like_a_refusal_is_kept() -> None:
    text = "The documents don't say whether cats may sit on laps. A carrier weighs 8 kg [1]."

    assert said(text)[1].text == text


def test_refusal_counts_the_tokens_that_it_cost() -> None:
    usage = Usage(400, 7)
    pieces = [Piece(word) for word in ("The documents", " don't", " say", ".")]
    _, written = write(Pieces(*pieces, Piece("", usage=usage)), a_prompt(PETS))

    assert written.refused
    assert written.usage == usage


def test_text_that_cites_nothing_is_replaced_by_quotations() -> None:
    shown, written = said("It weighs 99 kg.")

    assert "99" not in "".join(shown)
    assert written.text.startswith("Page 1: “Cats and small dogs may fly.” [1]")
    assert written.extractive
    assert written.degraded == ("citations",)


def test_text_that_cites_only_what_is_not_there_is_replaced_by_quotations() -> None:
    _, written = said("It weighs 99 kg [9].")

    assert written.degraded == ("citations",)
    assert [marker.number for marker in written.markers] == [1, 2, 3]


def test_generator_that_says_nothing_is_replaced_by_quotations() -> None:
    _, written = write(Pieces(Piece("", usage=Usage(5, 0))), a_prompt(PETS))

    assert written.degraded == ("citations",)
    assert written.text


def test_failure_before_first_text_is_replaced_by_quotations() -> None:
    _, written = write(Pieces(Piece("8 kg"), GeneratorError("gone")), a_prompt(PETS))

    assert written.degraded == ("generator",)
    assert written.extractive
    assert written.text


def test_failure_after_first_text_is_raised() -> None:
    generator = Pieces(Piece("It weighs 8 kg [1]. "), Piece("It"), GeneratorError("gone"))
    stream = Writer(generator, generator).write(
        ChatRequest(messages=(Message("user", "?"),)), a_prompt(PETS), Clock()
    )

    assert next(stream) == "It weighs 8 kg [1]."
    with pytest.raises(GeneratorError, match="gone"):
        list(stream)


def test_failure_without_passages_is_raised() -> None:
    with pytest.raises(GeneratorError, match="gone"):
        write(Pieces(GeneratorError("gone")), a_prompt())


def test_usage_and_length_limit_are_passed_on() -> None:
    usage = Usage(12, 3)
    _, written = write(
        Pieces(Piece("It weighs 8 kg [1] and"), Piece("", usage=usage, truncated=True)),
        a_prompt(PETS),
    )

    assert written.usage == usage
    assert written.truncated


def test_cancelled_request_is_not_answered_by_quotations() -> None:
    request = ChatRequest(messages=(Message("user", "?"),))
    request.cancelled.set()
    shown, written = write(ScriptedGenerator("8 kg [1]."), a_prompt(PETS), request)

    assert shown == []
    assert written.text == ""


def test_generator_gets_what_the_request_asks_for() -> None:
    generator = ScriptedGenerator("It weighs 8 kg [1].")
    request = ChatRequest(messages=(Message("user", "?"),), adapter="skylark", max_citations=2)
    write(generator, a_prompt(PETS), request)
    (asked,) = generator.requests

    assert (asked.adapter, asked.max_citations) == ("skylark", 2)
    assert asked.cancelled is request.cancelled
    assert asked.sampling is request.sampling


@pytest.mark.parametrize("words", ["Use argv[1] for the name.", "Read items[0] first."])
def test_brackets_of_a_quoted_text_are_no_markers(words: str) -> None:
    prompt = a_prompt(words)
    writer = ExtractiveGenerator(len)
    _, written = write(writer, prompt)

    assert written.text == f"Page 1: “{words}” [1]"
    assert [marker.start for marker in written.markers] == [written.text.rindex("[1]")]


def test_unsupported_sentence_is_never_shown_and_the_source_is_quoted() -> None:
    shown, written = said("It weighs at most 9 kg [1]. It stays closed [1].")

    assert "9 kg" not in "".join(shown)
    assert written.text.startswith("Page 1: “")
    assert written.stage is Stage.QUOTED
    assert written.extractive
    assert written.unsupported == 1
    assert written.degraded == ("grounding",)


def test_next_generator_is_asked_before_the_source_is_quoted() -> None:
    first = ScriptedGenerator("It weighs 9 kg [1].", adapters=["skylark"])
    second = ScriptedGenerator("It weighs at most 8 kg [1].")
    writer = Writer(first, ExtractiveGenerator(len), fallbacks=(second,))
    request = ChatRequest(messages=(Message("user", "?"),), adapter="skylark")
    shown, written = finish(writer, request, a_prompt(PETS))

    assert shown == ["It weighs at most 8 kg [1]."]
    assert written.stage is Stage.MODEL
    assert written.unsupported == 1
    assert written.adapter is None
    assert "voice" in written.degraded
    assert second.requests[0].adapter is None


def test_next_generator_is_asked_when_the_first_fails() -> None:
    second = ScriptedGenerator("It weighs at most 8 kg [1].")
    writer = Writer(Pieces(GeneratorError("gone")), ExtractiveGenerator(len), (second,))
    _, written = finish(writer, ChatRequest(messages=(Message("user", "?"),)), a_prompt(PETS))

    assert written.text == "It weighs at most 8 kg [1]."
    assert written.degraded == ("generator",)


def test_answer_that_goes_wrong_later_ends_there() -> None:
    shown, written = said("It weighs at most 8 kg [1]. It costs €99 [1]. It stays closed [1].")

    assert shown == ["It weighs at most 8 kg [1]."]
    assert written.stage is Stage.MODEL
    assert written.unsupported == 1


def test_source_is_added_when_what_was_shown_cites_another_passage() -> None:
    prompt = a_prompt("A parrot flies as freight.", "The carrier stays closed.")
    text = "The carrier stays closed [2]. A parrot costs €99 [1]."
    shown, written = write(ScriptedGenerator(text), prompt)

    assert shown[0] == "The carrier stays closed [1]."
    assert "\n\nPage 1: “A parrot flies as freight.” [2]" in written.text
    assert [marker.passage for marker in written.markers][:2] == [2, 1]
    assert [written.text[m.start : m.end] for m in written.markers][:2] == ["[1]", "[2]"]
    assert written.stage is Stage.QUOTED
    assert not written.extractive


def test_uncited_remark_is_left_out_and_the_answer_goes_on() -> None:
    shown, written = said("Carriers are a matter of taste. It weighs at most 8 kg [1].")

    assert shown == ["It weighs at most 8 kg [1]."]
    assert written.unsupported == 1
    assert written.degraded == ()


def test_uncited_fact_ends_the_answer() -> None:
    _, written = said("A carrier costs €99. It weighs at most 8 kg [1].")

    assert written.stage is Stage.QUOTED


def test_nothing_to_quote_is_said_not_to_be_there() -> None:
    prompt = a_prompt(PETS)
    bare = Prompt(prompt.system, prompt.messages, prompt.question, prompt.passages, evidence=())
    shown, written = write(ScriptedGenerator("It weighs 99 kg [1]."), bare)

    assert shown == [NOT_IN_DOCUMENTS]
    assert written.refused
    assert written.stage is Stage.REFUSED
    assert written.markers == []


def test_greeting_of_a_generator_that_fails_is_not_shown() -> None:
    shown, _ = said("Good morning! It weighs 99 kg [1].")

    assert "morning" not in "".join(shown)


def test_table_is_shown_as_a_whole_or_not_at_all() -> None:
    table = "| What | Most |\n|---|---|\n| carrier weighs | 8 kg |\n[1]"
    shown, _ = said(table)
    wrong, written = said(table.replace("8 kg", "9 kg"))

    assert shown == [table]
    assert "| What" not in "".join(wrong)
    assert written.unsupported == 1


def test_sentence_beyond_the_limit_of_citations_is_left_out() -> None:
    prompt = a_prompt("A parrot flies as freight.", "The carrier stays closed.")
    request = ChatRequest(messages=prompt.messages, max_citations=1)
    text = "A parrot flies as freight [1]. The carrier stays closed [2]."
    shown, written = write(ScriptedGenerator(text), prompt, request)

    assert shown == ["A parrot flies as freight [1]."]
    assert written.unsupported == 0


def test_free_text_stops_before_a_fact() -> None:
    text = "What a lovely cat! A cabin place costs €65. See you."
    shown, written = write(ScriptedGenerator(text), a_prompt())

    assert shown == ["What a lovely cat!"]
    assert written.stopped
    assert written.unsupported == 1


def test_tokens_of_a_generator_that_was_stopped_are_counted() -> None:
    prompt = replace(a_prompt(PETS), tokens=50)
    generator = Pieces(Piece("It weighs 9 kg [1]."), Piece(" It"), Piece(" stays"), Piece("."))
    writer = Writer(generator, ScriptedGenerator("", adapters=()))
    _, written = finish(writer, ChatRequest(messages=prompt.messages), prompt)

    assert written.usage.prompt_tokens >= 50
    assert written.usage.completion_tokens >= 2


def test_generator_that_rambles_is_stopped() -> None:
    remarks = "It is all a matter of taste. " * 400
    generator = ScriptedGenerator(f"It weighs at most 8 kg [1]. {remarks}")
    _, written = write(generator, a_prompt(PETS))

    assert written.text == "It weighs at most 8 kg [1]."
    assert written.unsupported == 4
    assert written.usage.completion_tokens < 50
