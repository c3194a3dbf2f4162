"""A real language model in this process: tiny, random, Llama-shaped, with LoRA adapters on disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from finetune.adapters import AdapterRegistry
from finetune.base_identity import read_base
from serving.answers import ChatRequest, Message, Sampling
from serving.clock import Clock
from serving.errors import GeneratorBusyError, GeneratorError, UnknownAdapterError
from serving.extractive_generator import ExtractiveGenerator
from serving.generation import GenerationRequest, Piece
from serving.prompts import Prompt
from serving.transformers_generator import TransformersGenerator
from serving.writing import Writer
from tests.serving.test_writing import a_prompt
from tests.serving.tiny_models import register, save_adapter, save_model, save_tokenizer

# PEFT reads an attribute that transformers has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

NOT_RUN = Path("/nowhere/models/none")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """A model this small is slower on several cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base/, and adapters/ with voices: northwind in two versions, one whose numbers overflow."""
    folder = tmp_path_factory.mktemp("models")
    save_model(folder / "base", save_tokenizer(folder / "base"))
    register(folder, folder / "base", "skylark", size=2.0)
    register(folder, folder / "base", "mute", size=0.0)
    register(folder, folder / "base", "northwind", size=0.0)
    register(folder, folder / "base", "northwind", size=2.0)
    register(folder, folder / "base", "overflowing", size=1.0, alpha=10**60)
    save_adapter(folder / "made" / "draft", folder / "base", size=1.0)
    AdapterRegistry(folder / "adapters").import_directory(
        folder / "made" / "draft", name="draft", base=read_base(str(folder / "base")), licence="?"
    )
    (folder / "adapters" / "empty").mkdir()
    return folder


@pytest.fixture(scope="module")
def generator(models: Path) -> Iterator[TransformersGenerator]:
    """The base model, without any adapter loaded yet: ask for one only through `with_adapters`."""
    with opened(models / "base", models / "adapters") as one:
        yield one


@pytest.fixture(scope="module")
def with_adapters(models: Path) -> Iterator[TransformersGenerator]:
    with opened(models / "base", models / "adapters") as one:
        yield one


def opened(model: Path, adapters: Path, **options: Any) -> closing[TransformersGenerator]:
    """A generator whose thread ends with the test."""
    return closing(TransformersGenerator(str(model), adapters_dir=adapters, **options))


def request(
    *, adapter: str | None = None, prompt: Prompt | None = None, **sampling: Any
) -> GenerationRequest:
    prompt = prompt or Prompt("Be kind.", (Message("user", "How are bags?"),), "How are bags?")
    return GenerationRequest(
        prompt, sampling=Sampling(**{"max_new_tokens": 12, **sampling}), adapter=adapter
    )


def text(generator: TransformersGenerator, asked: GenerationRequest) -> str:
    return "".join(piece.text for piece in generator.stream(asked))


def test_text_streams_in_pieces_and_ends_with_its_usage(generator: TransformersGenerator) -> None:
    *pieces, last = generator.stream(request())

    assert len([piece for piece in pieces if piece.text]) > 3
    assert all(piece.usage is None for piece in pieces)
    assert last.text == ""
    assert last.usage is not None
    assert last.usage.completion_tokens == 12
    assert last.truncated


def test_usage_counts_the_prompt_through_the_chat_template(
    generator: TransformersGenerator, models: Path
) -> None:
    *_, last = generator.stream(request())
    tokenizer: Any = AutoTokenizer.from_pretrained(models / "base")
    rendered = "system: Be kind.\nuser: How are bags?\nassistant:"

    assert last.usage is not None
    assert last.usage.prompt_tokens == len(tokenizer(rendered)["input_ids"])


def test_greedy_text_repeats_and_answers_its_prompt(generator: TransformersGenerator) -> None:
    other = Prompt("Be brief.", (Message("user", "May a cat fly?"),), "May a cat fly?")

    assert text(generator, request()) == text(generator, request())
    assert text(generator, request()) != text(generator, request(prompt=other))


def test_conversation_is_part_of_the_prompt(generator: TransformersGenerator) -> None:
    turns = (Message("user", "Hi."), Message("assistant", "Hello."), Message("user", "And bags?"))
    long, short = (
        list(generator.stream(request(prompt=Prompt("Be kind.", said, "And bags?"))))[-1]
        for said in (turns, turns[-1:])
    )

    assert long.usage is not None
    assert short.usage is not None
    assert long.usage.prompt_tokens > short.usage.prompt_tokens


def test_sampling_at_a_temperature_varies(generator: TransformersGenerator) -> None:
    drawn = {text(generator, request(temperature=1.5)) for _ in range(3)}

    assert len(drawn) > 1


def test_seed_makes_sampling_repeat(generator: TransformersGenerator) -> None:
    drawn = {text(generator, request(temperature=1.5, seed=3)) for _ in range(3)}

    assert len(drawn) == 1


def test_stop_string_ends_the_text_and_is_not_part_of_it(generator: TransformersGenerator) -> None:
    full = text(generator, request())
    stop = full.split()[3]
    stopped = text(generator, request(stop=(stop,)))

    assert full.startswith(stopped)
    assert stop not in stopped


def test_empty_stop_string_stops_nothing(generator: TransformersGenerator) -> None:
    assert text(generator, request(stop=("",))) == text(generator, request())


@pytest.mark.parametrize("seed", [-1, 2**63 - 1])
def test_any_seed_of_64_bits_is_taken(generator: TransformersGenerator, seed: int) -> None:
    assert text(generator, request(temperature=1.0, seed=seed))


def test_stop_string_ends_the_generation(generator: TransformersGenerator) -> None:
    full = text(generator, request())
    *_, last = generator.stream(request(stop=(full.split()[3],)))

    assert last.usage is not None
    assert last.usage.completion_tokens <= 4
    assert not last.truncated


def test_cancelled_request_stops_early(generator: TransformersGenerator) -> None:
    asked = request(max_new_tokens=4000)
    stream = generator.stream(asked)
    next(stream)
    asked.cancelled.set()
    started = time.monotonic()
    last = list(stream)[-1]

    assert time.monotonic() - started < 2
    assert last.usage is not None
    assert last.usage.completion_tokens < 2000


def test_consumer_that_leaves_stops_the_model_for_the_next(
    generator: TransformersGenerator,
) -> None:
    stream = generator.stream(request(max_new_tokens=4000))
    next(stream)
    assert isinstance(stream, Iterator)
    stream.close()  # type: ignore[attr-defined]
    started = time.monotonic()

    assert text(generator, request())
    assert time.monotonic() - started < 2


def test_requests_at_once_get_the_answers_that_they_get_alone(
    with_adapters: TransformersGenerator,
) -> None:
    voices = [None, "skylark", "northwind"]
    alone = [text(with_adapters, request(adapter=voice)) for voice in voices]
    together: dict[int, str] = {}

    def run(place: int, voice: str | None) -> None:
        together[place] = text(with_adapters, request(adapter=voice))

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(voices)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [together[place] for place in range(len(voices))] == alone


def test_adapter_changes_the_voice_and_the_base_stays_itself(
    with_adapters: TransformersGenerator, generator: TransformersGenerator
) -> None:
    base = text(generator, request())

    assert text(with_adapters, request(adapter="skylark")) != base
    assert text(with_adapters, request()) == base
    assert text(with_adapters, request(adapter="mute")) == base


def test_live_version_of_an_adapter_is_used(
    with_adapters: TransformersGenerator, generator: TransformersGenerator
) -> None:
    assert text(with_adapters, request(adapter="northwind")) != text(generator, request())


def test_adapters_are_those_with_a_live_version(generator: TransformersGenerator) -> None:
    assert generator.adapters() == ["mute", "northwind", "overflowing", "skylark"]


def test_no_adapters_folder_means_no_adapters(models: Path, tmp_path: Path) -> None:
    with opened(models / "base", tmp_path / "none") as lonely:
        assert list(lonely.adapters()) == []


def test_missing_adapter_is_named(generator: TransformersGenerator) -> None:
    with pytest.raises(UnknownAdapterError, match="'nope'"):
        text(generator, request(adapter="nope"))
    assert text(generator, request())


def test_candidate_does_not_answer(generator: TransformersGenerator) -> None:
    with pytest.raises(UnknownAdapterError, match="`twofold adapters promote draft@1`"):
        text(generator, request(adapter="draft"))


def test_adapter_whose_files_were_changed_does_not_answer(models: Path, tmp_path: Path) -> None:
    register(tmp_path, models / "base", "skylark", size=2.0)
    weights = tmp_path / "adapters" / "skylark" / "1" / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    with opened(models / "base", tmp_path / "adapters") as generator:
        with pytest.raises(GeneratorError, match="has changed: its SHA-256 is"):
            text(generator, request(adapter="skylark"))
        assert text(generator, request())


def test_version_promoted_later_answers_from_then_on(models: Path, tmp_path: Path) -> None:
    register(tmp_path, models / "base", "skylark", size=0.0)
    with opened(models / "base", tmp_path / "adapters") as generator:
        before = text(generator, request(adapter="skylark"))
        register(tmp_path, models / "base", "skylark", size=2.0)

        assert before == text(generator, request())
        assert text(generator, request(adapter="skylark")) != before


def test_adapter_of_another_model_is_named_and_the_others_go_on(
    models: Path, tmp_path: Path
) -> None:
    save_model(tmp_path / "other", save_tokenizer(tmp_path / "other"), hidden=48)
    register(tmp_path, tmp_path / "other", "wide", size=2.0)
    register(tmp_path, models / "base", "skylark", size=2.0)
    with opened(models / "base", tmp_path / "adapters") as generator:
        base = text(generator, request())
        for _ in range(2):
            with pytest.raises(GeneratorError, match=r"'wide@1' does not fit"):
                text(generator, request(adapter="wide"))

        assert text(generator, request()) == base
        assert text(generator, request(adapter="skylark")) != base


@pytest.mark.parametrize("name", [str(NOT_RUN), "nobody/no-such-model"])
def test_missing_model_says_what_the_setting_takes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(GeneratorError, match=r"TWOFOLD_LANGUAGE_MODEL takes a folder"):
        TransformersGenerator(name, adapters_dir=tmp_path)


def test_damaged_model_is_a_generator_error(models: Path, tmp_path: Path) -> None:
    for file in (models / "base").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"damaged")

    with pytest.raises(GeneratorError, match="cannot load"):
        TransformersGenerator(str(tmp_path), adapters_dir=tmp_path)


def test_tokenizer_without_chat_template_is_refused(models: Path, tmp_path: Path) -> None:
    for file in (models / "base").iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "chat_template.jinja").unlink()
    save_tokenizer(tmp_path, chat_template=None)

    with (
        opened(tmp_path, tmp_path / "none") as generator,
        pytest.raises(GeneratorError, match="no chat template"),
    ):
        text(generator, request())


def test_model_that_fails_is_a_generator_error_and_the_next_request_works(
    with_adapters: TransformersGenerator,
) -> None:
    with pytest.raises(GeneratorError, match="failed: its output holds no finite numbers"):
        text(with_adapters, request(adapter="overflowing"))
    assert text(with_adapters, request())


def test_temperature_near_zero_is_greedy(generator: TransformersGenerator) -> None:
    assert text(generator, request(temperature=1e-40)) == text(generator, request())


def test_model_that_cites_nothing_is_replaced_by_quotations(
    generator: TransformersGenerator,
) -> None:
    prompt = replace(a_prompt("A carrier weighs 8 kg."), messages=(Message("user", "How heavy?"),))
    chat = ChatRequest(messages=prompt.messages, sampling=Sampling(max_new_tokens=8))
    writer = Writer(generator, ExtractiveGenerator(len))
    shown = "".join(writer.write(chat, prompt, Clock()))

    assert shown == "Page 1: “A carrier weighs 8 kg.” [1]"


def test_model_that_fails_is_replaced_by_quotations(
    with_adapters: TransformersGenerator,
) -> None:
    prompt = replace(a_prompt("A carrier weighs 8 kg."), messages=(Message("user", "How heavy?"),))
    chat = ChatRequest(messages=prompt.messages, adapter="overflowing")
    writer = Writer(with_adapters, ExtractiveGenerator(len))
    shown = "".join(writer.write(chat, prompt, Clock()))

    assert shown == "Page 1: “A carrier weighs 8 kg.” [1]"


def test_piece_without_text_is_never_sent_before_the_last(
    generator: TransformersGenerator,
) -> None:
    *pieces, _ = generator.stream(request())

    assert Piece("") not in pieces


def test_full_queue_turns_away_and_takes_again(models: Path) -> None:
    with opened(models / "base", models / "adapters", batch=1, queue=1) as generator:
        writing = generator.stream(request(max_new_tokens=4000))
        next(writing)
        waiting = request()
        texts: list[str] = []
        thread = threading.Thread(target=lambda: texts.append(text(generator, waiting)))
        thread.start()
        while not generator.waiting:
            time.sleep(0.001)
        with pytest.raises(GeneratorBusyError, match="TWOFOLD_GENERATION_QUEUE"):
            text(generator, request())
        writing.close()  # type: ignore[attr-defined]
        thread.join()

        assert texts == [text(generator, request())]


def test_request_that_is_cancelled_while_it_waits_ends_at_once(models: Path) -> None:
    with opened(models / "base", models / "adapters", batch=1) as generator:
        writing = generator.stream(request(max_new_tokens=4000))
        next(writing)
        asked = request()
        asked.cancelled.set()
        (only,) = generator.stream(asked)

        assert only.usage is not None
        assert only.usage.completion_tokens == 0


def test_first_use_of_an_adapter_is_timed(models: Path) -> None:
    with opened(models / "base", models / "adapters") as generator:
        first, again = (
            list(generator.stream(request(adapter="skylark")))[-1].timings_ms for _ in range(2)
        )

    assert first["adapter_load"] > 0
    assert first["prefill"] > 0
    assert first["queue"] >= 0
    assert "adapter_load" not in again


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[TransformersGenerator]:
    """A model that holds 64 tokens."""
    save_model(tmp_path, save_tokenizer(tmp_path), context=64)
    with opened(tmp_path, tmp_path / "none") as one:
        yield one


def test_answer_ends_where_the_context_does(
    forgetful: TransformersGenerator, caplog: pytest.LogCaptureFixture
) -> None:
    lasts = [list(forgetful.stream(request(max_new_tokens=60)))[-1] for _ in range(2)]

    for last in lasts:
        assert last.usage is not None
        assert last.usage.prompt_tokens + last.usage.completion_tokens == 64
        assert last.truncated
    assert len([r for r in caplog.records if "TWOFOLD_PROMPT_TOKENS" in r.message]) == 1


def test_prompt_longer_than_the_context_is_refused(forgetful: TransformersGenerator) -> None:
    long = Prompt("a second suitcase " * 30, (Message("user", "How?"),), "How?")

    with pytest.raises(GeneratorError, match="holds 64; lower TWOFOLD_PROMPT_TOKENS"):
        text(forgetful, request(prompt=long))


def test_tokens_are_counted_by_the_models_own_tokenizer(
    generator: TransformersGenerator, models: Path
) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(models / "base")

    assert generator.count_tokens("Straße!") == len(tokenizer("Straße!")["input_ids"])


def test_closed_generator_says_so(models: Path) -> None:
    generator = TransformersGenerator(str(models / "base"), adapters_dir=models / "adapters")
    generator.close()

    with pytest.raises(GeneratorError, match="closed"):
        text(generator, request())


def test_overflowing_adapter_leaves_those_beside_it_alone(
    with_adapters: TransformersGenerator,
) -> None:
    base = text(with_adapters, request())
    beside = with_adapters.stream(request())
    first = next(beside)
    with pytest.raises(GeneratorError):
        text(with_adapters, request(adapter="overflowing"))

    assert first.text + "".join(piece.text for piece in beside) == base
