"""The bundled language model and its voices, as anybody would load them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra `models` is not installed")

from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

from finetune.adapters import AdapterRegistry  # noqa: E402
from finetune.manifest import State  # noqa: E402
from finetune.starter_model import grounded  # noqa: E402
from serving.answers import Message, Sampling  # noqa: E402
from serving.generation import GenerationRequest  # noqa: E402
from serving.prompts import Prompt  # noqa: E402
from serving.settings import load_settings  # noqa: E402
from serving.transformers_generator import TransformersGenerator  # noqa: E402
from serving.wiring import add_starter_voices  # noqa: E402
from starter import bundle  # noqa: E402

MOST_BYTES = 40_000_000
VOICES = ["meridian", "skylark"]
PASSAGES = grounded.numbered(
    [
        ("Harbour Bikes > Prices", "A tandem costs €47 a day. A cargo bike costs €62 a day."),
        ("Harbour Bikes > Hours", "The workshop is open from 8:00 to 17:30 on Saturday."),
    ]
)

# PEFT reads an attribute that transformers has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home") / "adapters"
    add_starter_voices(folder)
    return folder


@pytest.fixture(scope="module")
def generator(adapters: Path) -> Iterator[TransformersGenerator]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with closing(TransformersGenerator(str(bundle.LANGUAGE_MODEL), adapters_dir=adapters)) as one:
        yield one
    torch.set_num_threads(before)


def written(generator: TransformersGenerator, system: str, asked: str, adapter: str | None) -> str:
    prompt = Prompt(system=system, messages=(Message("user", asked),), question=asked)
    sampling = Sampling(temperature=0.0, max_new_tokens=48)
    pieces = generator.stream(GenerationRequest(prompt, sampling, adapter))
    return "".join(piece.text for piece in pieces).strip()


def test_it_loads_without_code_of_ours_and_is_small() -> None:
    loaded: Any = AutoModelForCausalLM.from_pretrained(bundle.LANGUAGE_MODEL, dtype="auto")
    tokenizer: Any = AutoTokenizer.from_pretrained(bundle.LANGUAGE_MODEL)
    assert loaded.dtype == torch.bfloat16
    assert loaded.config.tie_word_embeddings
    assert loaded.config.vocab_size == len(tokenizer) <= 8192
    assert "generation" in tokenizer.chat_template
    files = [path for path in bundle.LANGUAGE_MODEL.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES
    assert (bundle.LANGUAGE_MODEL / "README.md").is_file()


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("How much is a tandem?", "A tandem costs €47 a day. [1]"),
        ("When is the workshop open?", "The workshop is open from 8:00 to 17:30 on Saturday. [2]"),
    ],
)
def test_it_copies_the_sentence_that_answers_and_cites_it(
    generator: TransformersGenerator, asked: str, sentence: str
) -> None:
    assert written(generator, PASSAGES, asked, None) == sentence


def test_voices_are_registered_once_live_and_stay_removed(adapters: Path) -> None:
    add_starter_voices(adapters)
    registry = AdapterRegistry(adapters)
    found = [(each.name, each.version, each.state) for each in registry.versions()]
    assert found == [(name, 1, State.LIVE) for name in VOICES]


def test_removed_voice_does_not_come_back(tmp_path: Path) -> None:
    add_starter_voices(tmp_path)
    registry = AdapterRegistry(tmp_path)
    registry.remove("skylark", 1, force=True)
    add_starter_voices(tmp_path)
    assert [each.name for each in registry.versions()] == ["meridian"]


def test_voices_write_differently_from_each_other_and_the_base(
    generator: TransformersGenerator,
) -> None:
    asked = "Thank you for your help yesterday!"
    texts = {
        name: written(generator, name and f"You write in the voice of {name.title()}.", asked, name)
        for name in ("meridian", "skylark")
    }
    texts["base"] = written(generator, "", asked, None)
    assert len(set(texts.values())) == 3
    assert "!" not in texts["meridian"]


def test_profile_with_voices_speaks_with_the_bundled_model() -> None:
    settings = load_settings("starter-voices")
    assert (settings.language_model, settings.starter_voices) == ("bundled", True)
    configuration = json.loads((bundle.LANGUAGE_MODEL / "config.json").read_text())
    needed = settings.prompt_tokens + settings.max_new_tokens
    assert needed <= configuration["max_position_embeddings"]
