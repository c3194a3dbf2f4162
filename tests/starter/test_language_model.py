"""The bundled language model and its adapter, as anybody would load them."""

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
from serving.wiring import add_starter_adapters  # noqa: E402
from starter import bundle  # noqa: E402
from starter.tickets.schema import SYSTEM, Ticket  # noqa: E402

MOST_BYTES = 40_000_000
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
    add_starter_adapters(folder)
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
    sampling = Sampling(temperature=0.0, max_new_tokens=120)
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


def test_adapters_are_registered_once_and_live(adapters: Path) -> None:
    add_starter_adapters(adapters)
    registry = AdapterRegistry(adapters)
    found = [(each.name, each.version, each.state) for each in registry.versions()]
    assert found == [("tickets", 1, State.LIVE)]


def test_removed_adapter_does_not_come_back(tmp_path: Path) -> None:
    add_starter_adapters(tmp_path)
    registry = AdapterRegistry(tmp_path)
    registry.remove("tickets", 1, force=True)
    add_starter_adapters(tmp_path)
    assert registry.versions() == []


def test_adapter_answers_in_its_schema_and_the_base_does_not(
    generator: TransformersGenerator,
) -> None:
    asked = "Please cancel 2 seats. Name: Irene Camdale. Booking: #SG-2629. It's urgent."
    ticket = Ticket.model_validate_json(written(generator, SYSTEM, asked, "tickets"))
    assert (ticket.customer.name, ticket.customer.booking) == ("Irene Camdale", "SG-2629")
    assert "{" not in written(generator, SYSTEM, asked, None)


def test_profile_speaks_with_the_bundled_model() -> None:
    settings = load_settings("starter-model")
    assert (settings.language_model, settings.starter_adapters) == ("bundled", True)
    configuration = json.loads((bundle.LANGUAGE_MODEL / "config.json").read_text())
    needed = settings.prompt_tokens + settings.max_new_tokens
    assert needed <= configuration["max_position_embeddings"]
