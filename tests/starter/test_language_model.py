"""The bundled language model, as anybody would load it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra `models` is not installed")

from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

from finetune.starter_model import grounded  # noqa: E402
from serving.answers import NOT_IN_DOCUMENTS, Message, Sampling  # noqa: E402
from serving.generation import GenerationRequest  # noqa: E402
from serving.prompts import Prompt  # noqa: E402
from serving.settings import load_settings  # noqa: E402
from serving.transformers_generator import TransformersGenerator  # noqa: E402
from starter import bundle  # noqa: E402

MOST_BYTES = 40_000_000
PASSAGES = grounded.numbered(
    [
        ("Harbour Bikes > Prices", "A tandem costs €47 a day. A cargo bike costs €62 a day."),
        ("Harbour Bikes > Hours", "The workshop is open from 8:00 to 17:30 on Saturday."),
    ]
)


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TransformersGenerator]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    adapters = tmp_path_factory.mktemp("home") / "adapters"
    with closing(TransformersGenerator(str(bundle.LANGUAGE_MODEL), adapters_dir=adapters)) as one:
        yield one
    torch.set_num_threads(before)


def test_it_loads_without_code_of_ours_and_is_small() -> None:
    loaded: Any = AutoModelForCausalLM.from_pretrained(bundle.LANGUAGE_MODEL, dtype="auto")
    tokenizer: Any = AutoTokenizer.from_pretrained(bundle.LANGUAGE_MODEL)
    assert loaded.dtype == torch.bfloat16
    assert loaded.config.tie_word_embeddings
    assert loaded.config.vocab_size == len(tokenizer) <= 8192
    assert "generation" in tokenizer.chat_template
    files = [path for path in Path(bundle.LANGUAGE_MODEL).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES
    assert (bundle.LANGUAGE_MODEL / "README.md").is_file()


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("When is the workshop open?", "The workshop is open from 8:00 to 17:30 on Saturday. [2]"),
        ("Who repairs bells?", NOT_IN_DOCUMENTS),
    ],
)
def test_it_copies_and_cites_what_answers_and_says_when_nothing_does(
    generator: TransformersGenerator, asked: str, answer: str
) -> None:
    prompt = Prompt(system=PASSAGES, messages=(Message("user", asked),), question=asked)
    sampling = Sampling(temperature=0.0, max_new_tokens=48)
    pieces = generator.stream(GenerationRequest(prompt, sampling))
    assert "".join(piece.text for piece in pieces).strip() == answer


def test_profile_speaks_with_the_bundled_model_within_its_context() -> None:
    settings = load_settings("starter-model")
    assert (settings.language_model, settings.small_model) == ("bundled", True)
    configuration = json.loads((bundle.LANGUAGE_MODEL / "config.json").read_text())
    needed = settings.prompt_tokens + settings.max_new_tokens
    assert needed <= configuration["max_position_embeddings"]
