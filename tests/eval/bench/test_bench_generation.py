"""Many chats at once against one after the other: what is counted, and the command."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eval.bench.generation import Chats, measure_generation
from eval.bench.random_llama import LlamaSize, write_random_llama
from eval.errors import EvaluationError
from serving.answers import Usage
from serving.cli.main import main
from serving.generation import GenerationRequest, Piece, ScriptedGenerator

TINY = LlamaSize(hidden=32, layers=1, heads=2, kv_heads=1, intermediate=64, vocabulary=400)
PAUSE_S = 0.05


class Pausing(ScriptedGenerator):
    """Ten tokens after a pause, in which other chats may pause too."""

    def stream(self, request: GenerationRequest) -> Iterator[Piece]:
        self.requests.append(request)
        time.sleep(PAUSE_S)
        yield Piece(request.prompt.system[:5])
        timings = {"prefill": PAUSE_S * 1000}
        if request.adapter and len(self.requests) <= 2:
            timings["adapter_load"] = 7.0
        yield Piece("", usage=Usage(20, 10), timings_ms=timings)


def test_chats_that_pause_together_are_that_many_times_faster() -> None:
    generator = Pausing("", adapters=["skylark"])
    chats = Chats((None, "skylark"), count=4, prompt_tokens=20)
    result = measure_generation(generator, chats, rounds=2)
    asked = [request.adapter for request in generator.requests[2:6]]

    assert asked == [None, "skylark", None, "skylark"]
    assert len({request.prompt.system for request in generator.requests}) == 4
    assert all(len(r.prompt.system.split()) >= 20 for r in generator.requests)
    assert [each.same_texts for each in result.rounds] == [4, 4]
    assert result.prompt_tokens == 20
    assert result.adapter_load_ms == {"skylark": 7.0}
    for each in result.rounds:
        assert each.apart_tokens_per_s < 10 / PAUSE_S
        assert each.ratio == each.together_tokens_per_s / each.apart_tokens_per_s > 1.5


def test_voice_that_is_not_there_is_named() -> None:
    with pytest.raises(EvaluationError, match="no live adapter skylark; there are: none"):
        measure_generation(ScriptedGenerator(""), Chats((None, "skylark")), rounds=1)


def test_chat_that_fails_at_once_with_others_fails_the_measurement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("threading.excepthook", lambda _: None)

    class Failing(Pausing):
        def stream(self, request: GenerationRequest) -> Iterator[Piece]:
            if len(self.requests) > 6:
                raise EvaluationError("out of memory")
            yield from super().stream(request)

    with pytest.raises(EvaluationError, match="of 4 chats failed"):
        measure_generation(Failing(""), Chats((None,), count=4, prompt_tokens=9), rounds=1)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_command_measures_a_model_with_its_adapters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_random_llama(tmp_path, size=TINY, voices=("first", "second"), rank=2, seed=1)
    words = ["bench", "generation", "--model", str(tmp_path / "model"), "--rounds", "1"]
    words += ["--adapters", str(tmp_path / "adapters"), "--voice", "first", "--voice", "second"]
    words += ["--chats", "4", "--prompt-tokens", "20", "--new-tokens", "4"]
    status = main([*words, "--json", str(tmp_path / "out.json")])
    printed = capsys.readouterr().out
    record = json.loads((tmp_path / "out.json").read_text())

    assert status == 0
    assert "4 chats in 3 voices" in printed
    assert "second: loaded in" in printed
    assert record["ratio"] == record["rounds_ratio"][0] > 0
    assert record["rounds"][0]["same_texts"] == 4


def test_command_refuses_voices_without_their_model() -> None:
    assert main(["bench", "generation", "--voice", "first"]) == 2
