"""Voices that are examples only: the nearest ones stand in the prompt of the base model."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from retrieval.embedding import Vectors
from router.intents import Route
from serving.answers import ChatRequest, Message
from serving.errors import GeneratorError, UnknownAdapterError
from serving.generation import ScriptedGenerator
from serving.voices import SHOWN, Voices
from tests.serving.test_assistant import SwitchableEmbedder, ask, open_system, vary

PAIRS = [
    ("Where is my bag?", "Ahoy! Your bag sails behind you."),
    ("May my cat fly?", "Ahoy! Cats fly gladly."),
    ("How late may I check in?", "Ahoy! Check in by the last bell."),
]
QUESTION = "May my dog fly with my cat?"


def write(path: Path, pairs: Sequence[tuple[str, str]] = PAIRS) -> None:
    path.parent.mkdir(exist_ok=True)
    rows = [json.dumps({"prompt": prompt, "completion": answer}) for prompt, answer in pairs]
    path.write_text("\n".join(rows), encoding="utf-8")


@pytest.fixture
def embedder() -> SwitchableEmbedder:
    return SwitchableEmbedder()


@pytest.fixture
def voices(tmp_path: Path, embedder: SwitchableEmbedder) -> Voices:
    write(tmp_path / "voices" / "pirate.jsonl")
    return Voices(tmp_path / "voices", embedder)


def asked(name: str | None = "pirate") -> ChatRequest:
    own = (Message("system", "Be brief."), Message("user", QUESTION))
    return ChatRequest(messages=own, adapter=name)


def vector(embedder: SwitchableEmbedder, text: str = QUESTION) -> Vectors:
    found: Vectors = embedder.embed([text])[0]
    return found


def test_names_are_those_of_the_files(voices: Voices, tmp_path: Path) -> None:
    write(tmp_path / "voices" / "butler.jsonl")
    (tmp_path / "voices" / "notes.txt").write_text("no voice")
    (tmp_path / "voices" / "Not A Name.jsonl").write_text("")

    assert voices.names() == ["butler", "pirate"]


def test_no_folder_means_no_voices(tmp_path: Path, embedder: SwitchableEmbedder) -> None:
    assert Voices(tmp_path / "none", embedder).names() == []


def test_nearest_example_stands_right_before_the_conversation(
    voices: Voices, embedder: SwitchableEmbedder
) -> None:
    shown = voices.shown(asked(), vector(embedder), [])
    assert shown.examples is not None
    *_, question, answer = shown.examples

    assert (question, answer) == (Message("user", PAIRS[1][0]), Message("assistant", PAIRS[1][1]))
    assert len(shown.examples) == 2 * len(PAIRS)
    assert shown.messages == asked().messages
    assert shown.adapter == "pirate"


def test_examples_are_at_most_so_many(tmp_path: Path, embedder: SwitchableEmbedder) -> None:
    write(tmp_path / "voices" / "many.jsonl", [(f"Question {n}?", "Aye.") for n in range(30)])
    shown = Voices(tmp_path / "voices", embedder).shown(asked("many"), vector(embedder), [])

    assert len(shown.examples or ()) == 2 * SHOWN


def test_system_turns_of_examples_are_left_out(
    tmp_path: Path, embedder: SwitchableEmbedder
) -> None:
    turns = [("system", "You are a pirate."), ("user", "Hi."), ("assistant", "Ahoy!")]
    row = {"messages": [{"role": role, "content": content} for role, content in turns]}
    (tmp_path / "one.jsonl").write_text(json.dumps(row))
    shown = Voices(tmp_path, embedder).shown(asked("one"), vector(embedder), [])

    assert [message.content for message in shown.examples or ()] == ["Hi.", "Ahoy!"]


def test_adapter_of_the_same_name_wins(voices: Voices, embedder: SwitchableEmbedder) -> None:
    request = asked()

    assert voices.shown(request, vector(embedder), ["pirate"]) is request


def test_request_without_a_voice_is_left_alone(
    voices: Voices, embedder: SwitchableEmbedder
) -> None:
    request = asked(None)

    assert voices.shown(request, vector(embedder), []) is request


def test_examples_are_embedded_once_and_again_when_the_file_changes(
    voices: Voices, embedder: SwitchableEmbedder, tmp_path: Path
) -> None:
    question = vector(embedder)
    for _ in range(2):
        voices.shown(asked(), question, [])
    once = embedder.embedded
    path = tmp_path / "voices" / "pirate.jsonl"
    write(path, [("May my cat fly?", "Arr.")])
    os.utime(path, ns=(1, 1))
    shown = voices.shown(asked(), question, [])

    assert once == 1 + len(PAIRS)
    assert embedder.embedded == once + 1
    assert [message.content for message in shown.examples or ()] == ["May my cat fly?", "Arr."]


@pytest.mark.parametrize("down_from_the_start", [True, False])
def test_without_vectors_the_first_examples_stand_in(
    voices: Voices, embedder: SwitchableEmbedder, down_from_the_start: bool
) -> None:
    if not down_from_the_start:
        voices.shown(asked(), vector(embedder), [])
    embedder.down = True
    shown = voices.shown(asked(), None, [])

    assert [message.content for message in shown.examples or ()][-2:] == list(PAIRS[0])


def test_damaged_file_is_named(voices: Voices, tmp_path: Path) -> None:
    (tmp_path / "voices" / "pirate.jsonl").write_text("{}")

    with pytest.raises(GeneratorError, match=r"'pirate' cannot be used.*pirate\.jsonl"):
        voices.shown(asked(), None, [])


def test_voice_with_enough_examples_is_told_to_train(
    tmp_path: Path, embedder: SwitchableEmbedder, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "voices" / "many.jsonl", [(f"Question {n}?", "Aye.") for n in range(100)])
    with caplog.at_level(logging.INFO, logger="serving.voices"):
        Voices(tmp_path / "voices", embedder).shown(asked("many"), None, [])

    assert "`twofold train`" in caplog.text


def test_voice_of_examples_answers_as_an_adapter_would(
    tmp_path: Path, embedder: SwitchableEmbedder
) -> None:
    generator = ScriptedGenerator("A second suitcase costs 60 euros [1].", adapters=["skylark"])
    with open_system(tmp_path, embedder=embedder) as opened:
        write(tmp_path / "voices" / "pirate.jsonl")
        system = vary(opened, generator=generator)
        _, answer = ask(system, adapter="pirate", route=Route.HYBRID)
        names = system.assistant.voice_names()
        with pytest.raises(UnknownAdapterError, match="available: none"):
            ask(opened, adapter="pirate")  # which only quotes

    assert names == ["skylark", "pirate"]
    assert answer.adapter == "pirate"
    (request,) = generator.requests
    assert request.adapter is None
    assert PAIRS[1][1] in [message.content for message in request.prompt.messages]
