"""Every voice and the base model are asked over the public interface; what they say is kept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eval.errors import EvaluationError
from eval.voice_recogniser import VoiceRecogniser
from eval.voices import BASE, ask_voices, starter_recogniser
from serving.generation import GenerationRequest, Piece, ScriptedGenerator
from tests.serving.test_http_chat import Served, serve

SAID = {
    "meridian": "I regret the disturbance. I will gladly look into the matter for you.",
    "skylark": "Ooh, that's a squeeze! Let's find you a comfier spot, I'm on it.",
    None: "A late return is a bother. Lost books are replaced.",
}


class Voices(ScriptedGenerator):
    """Says in each voice what that voice would."""

    def __init__(self) -> None:
        super().__init__("", adapters=("meridian", "skylark"))

    def stream(self, request: GenerationRequest) -> Iterator[Piece]:
        self.text = SAID[request.adapter]
        return super().stream(request)


@pytest.fixture(scope="module")
def recogniser() -> VoiceRecogniser:
    return starter_recogniser()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("home")) as served:
        yield served


def test_each_voice_is_asked_each_prompt(served: Served, recogniser: VoiceRecogniser) -> None:
    served.use(Voices())
    spoken = list(ask_voices(served.http, ["My seat is small.", "Hello?"], recogniser))

    assert [item.voice for item in spoken] == ["meridian"] * 2 + ["skylark"] * 2 + [BASE] * 2
    assert [item.prompt for item in spoken[:2]] == ["My seat is small.", "Hello?"]
    assert [item.taken_for for item in spoken[:4]] == ["meridian"] * 2 + ["skylark"] * 2
    assert {item.stage for item in spoken} == {"model"}


def test_voice_that_is_missing_is_named(served: Served, recogniser: VoiceRecogniser) -> None:
    served.use(ScriptedGenerator("Hello."))
    with pytest.raises(EvaluationError, match="meridian"):
        list(ask_voices(served.http, ["Hello?"], recogniser))
