"""A voice told, shown and trained: what the model is given each time, and what is counted."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eval.behaviour import Method, Taught, Told, ask_methods, method_rows, style_guide
from eval.voice_recogniser import PLAIN, VoiceRecogniser
from retrieval.documents import Scope
from serving.answers import Sampling
from serving.cli import evaluate_behaviour
from serving.cli.connection import CommandError
from serving.generation import ScriptedGenerator
from serving.voices import Voices
from serving.wiring import Twofold
from starter import bundle
from tests.eval.test_ladder import ASKED
from tests.serving.test_assistant import open_system, vary

EXAMPLE = {
    "messages": [
        {"role": "user", "content": "Does a suitcase cost anything?"},
        {"role": "assistant", "content": "Ask the desk, matey!"},
    ]
}


def scripted(text: str) -> ScriptedGenerator:
    return ScriptedGenerator(text, adapters=("skylark",))


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twofold]:
    with open_system(tmp_path_factory.mktemp("home")) as twofold:
        yield twofold


@pytest.fixture(scope="module")
def recogniser() -> VoiceRecogniser:
    return VoiceRecogniser.learn(
        {
            "skylark": ["Ahoy, matey, wind in the wings", "Yes matey, the wings are up", "Matey!"],
            PLAIN: ["The fee is due.", "Bring the form.", "It costs a fee."],
        },
        sign_offs=[],
    )


def told(
    system: Twofold,
    generator: ScriptedGenerator,
    recogniser: VoiceRecogniser,
    folder: Path,
    *,
    answerable: bool = True,
) -> list[Told]:
    (folder / "skylark.jsonl").write_text(json.dumps(EXAMPLE) + "\n", encoding="utf-8")
    varied = vary(system, generator=generator, answerable=answerable)
    return list(
        ask_methods(
            varied.assistant,
            [ASKED],
            Taught("skylark", Voices(folder, system.embedder), recogniser),
            scope=Scope(),
            sampling=Sampling(),
        )
    )


def test_model_is_told_shown_and_trained_and_never_two_at_once(
    system: Twofold, recogniser: VoiceRecogniser, tmp_path: Path
) -> None:
    generator = scripted("Matey, a second suitcase costs 60 euros [1].")
    found = told(system, generator, recogniser, tmp_path)
    guided, shown, trained = generator.requests

    assert [item.method for item in found] == list(Method)
    assert [asked.adapter for asked in generator.requests] == [None, None, "skylark"]
    assert style_guide("skylark").strip() in guided.prompt.system
    assert "Style guide" not in shown.prompt.system + trained.prompt.system
    assert [message.content for message in shown.prompt.messages][:2] == [
        "Does a suitcase cost anything?",
        "Ask the desk, matey!",
    ]
    assert len(guided.prompt.messages) == len(trained.prompt.messages) == 1
    assert all("60 euros" in asked.prompt.system for asked in generator.requests)
    tokens = {item.method: item.prompt_tokens for item in found}
    assert tokens[Method.GUIDE] > tokens[Method.ADAPTER] > 0


def test_nothing_written_counts_as_neither_voice_nor_fact(
    system: Twofold, recogniser: VoiceRecogniser, tmp_path: Path
) -> None:
    rows = method_rows(told(system, scripted(""), recogniser, tmp_path))

    assert {columns["both"].n for columns in rows.values()} == {1}
    assert {columns["fact"].value for columns in rows.values()} == {0.0}


def test_voice_and_fact_are_counted_by_themselves_and_together(
    system: Twofold, recogniser: VoiceRecogniser, tmp_path: Path
) -> None:
    texts = {
        "Matey, a second suitcase costs 60 euros [1].": (1.0, 1.0, 1.0),
        "The fee is 75 euros [1].": (0.0, 0.0, 0.0),
        "Matey, matey, the wings are up!": (1.0, 0.0, 0.0),
    }
    for text, wanted in texts.items():
        rows = method_rows(told(system, scripted(text), recogniser, tmp_path))
        assert set(rows) == set(Method)
        for columns in rows.values():
            assert tuple(columns[name].value for name in ("voice", "fact", "both")) == wanted


def test_where_retrieval_finds_no_answer_nobody_is_asked(
    system: Twofold, recogniser: VoiceRecogniser, tmp_path: Path
) -> None:
    generator = scripted("Matey!")

    assert told(system, generator, recogniser, tmp_path, answerable=False) == []
    assert generator.requests == []


@pytest.mark.parametrize("voice", ["meridian", "skylark"])
def test_style_guide_names_its_voice_and_no_fact(voice: str) -> None:
    guide = style_guide(voice)

    assert voice.capitalize() in guide
    assert not any(character.isdigit() for character in guide)


@pytest.mark.parametrize(
    ("generator", "said"),
    [
        (None, "only quotes"),
        (ScriptedGenerator("Ahoy!"), r"twofold train --config starter/voices/skylark\.toml"),
    ],
)
def test_command_that_has_nobody_to_ask_says_what_to_do(
    system: Twofold,
    monkeypatch: pytest.MonkeyPatch,
    generator: ScriptedGenerator | None,
    said: str,
) -> None:
    @contextmanager
    def opened(settings: object) -> Iterator[Twofold]:
        del settings
        yield vary(system, generator=generator) if generator else system

    monkeypatch.setattr("serving.wiring.open_twofold", opened)
    options = argparse.Namespace(voice="skylark", questions=1, json=None, profile="starter")
    with pytest.raises(CommandError, match=said):
        evaluate_behaviour.run(options)


def test_command_prints_a_row_a_method_and_writes_every_answer(
    system: Twofold,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    varied = vary(system, generator=scripted("Ahoy! A second suitcase costs 60 euros [1]."))

    @contextmanager
    def opened(settings: object) -> Iterator[Twofold]:
        del settings
        yield varied

    monkeypatch.setattr("serving.wiring.open_twofold", opened)
    monkeypatch.setattr(bundle, "read_questions", lambda **_: [ASKED])
    monkeypatch.setattr(evaluate_behaviour, "COLLECTIONS", ())
    target = tmp_path / "result.json"
    options = argparse.Namespace(voice="skylark", questions=1, json=target, profile="starter")

    assert evaluate_behaviour.run(options) == 0
    printed, written = capsys.readouterr().out, json.loads(target.read_text())
    assert all(method in printed for method in Method)
    assert [answer["method"] for answer in written["answers"]] == list(Method)
    assert written["figures"][Method.ADAPTER]["fact"]["value"] == 1.0
