"""A real language model in this process: tiny, random, Llama-shaped, with LoRA adapters on disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from finetune.adapters import AdapterRegistry
from finetune.base_identity import read_base
from finetune.manifest import State
from serving.answers import ChatRequest, Message, Sampling
from serving.clock import Clock
from serving.errors import GeneratorError, UnknownAdapterError
from serving.extractive_generator import ExtractiveGenerator
from serving.generation import GenerationRequest, Piece
from serving.prompts import Prompt
from serving.transformers_generator import TransformersGenerator
from serving.writing import Writer
from tests.serving.test_writing import a_prompt

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

# PEFT reads an attribute that transformers has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

CHAT_TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
SENTENCES = [
    "You answer questions for a company from its documents and cite every passage you used",
    "A second suitcase costs sixty euros while small bags travel free under the seat in front",
]
NOT_RUN = Path("/nowhere/models/none")


def save_tokenizer(folder: Path, *, chat_template: str | None = CHAT_TEMPLATE) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES * 3, trainer)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    fast.chat_template = chat_template
    fast.save_pretrained(folder)
    return fast


def save_model(folder: Path, tokenizer: Any, *, hidden: int = 32) -> Any:
    """Random weights; only tokens that open an English word can be written."""
    torch.manual_seed(20261123)
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=hidden,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=8192,
        )
    )
    words = [index for token, index in tokenizer.get_vocab().items() if token[1:].isalpha()]
    spoken = [index for index in words if tokenizer.convert_ids_to_tokens(index)[0] == "Ġ"]
    with torch.no_grad():
        head = torch.zeros_like(model.lm_head.weight)
        head[spoken] = torch.randn(len(spoken), hidden)
        model.lm_head.weight.copy_(head)
    model.save_pretrained(folder)
    return model


def save_adapter(folder: Path, model_folder: Path, *, size: float) -> None:
    """A LoRA adapter whose B matrices hold noise of the size; 0 leaves the base as it is."""
    base = transformers.LlamaForCausalLM.from_pretrained(model_folder)
    modules = ["q_proj", "v_proj", "down_proj"]
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=modules, task_type="CAUSAL_LM")
    adapted = peft.get_peft_model(base, config)
    torch.manual_seed(7)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn_like(weight) * size)
    adapted.save_pretrained(folder)


def register(root: Path, model_folder: Path, name: str, *, size: float) -> None:
    """A version more of the name, and live."""
    save_adapter(root / "made" / name, model_folder, size=size)
    registry = AdapterRegistry(root / "adapters")
    added = registry.import_directory(
        root / "made" / name, name=name, base=read_base(str(model_folder)), licence="none"
    )
    registry.set_state(name, added.version, State.LIVE)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """A model this small is slower on several cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base/, and adapters/ with three voices: the last in two versions."""
    folder = tmp_path_factory.mktemp("models")
    save_model(folder / "base", save_tokenizer(folder / "base"))
    register(folder, folder / "base", "skylark", size=2.0)
    register(folder, folder / "base", "mute", size=0.0)
    register(folder, folder / "base", "northwind", size=0.0)
    register(folder, folder / "base", "northwind", size=2.0)
    save_adapter(folder / "made" / "draft", folder / "base", size=1.0)
    AdapterRegistry(folder / "adapters").import_directory(
        folder / "made" / "draft", name="draft", base=read_base(str(folder / "base")), licence="?"
    )
    (folder / "adapters" / "empty").mkdir()
    return folder


@pytest.fixture(scope="module")
def generator(models: Path) -> TransformersGenerator:
    """The base model, without any adapter loaded yet: ask for one only through `with_adapters`."""
    return TransformersGenerator(str(models / "base"), adapters_dir=models / "adapters")


@pytest.fixture(scope="module")
def with_adapters(models: Path) -> TransformersGenerator:
    return TransformersGenerator(str(models / "base"), adapters_dir=models / "adapters")


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
    tokenizer = transformers.AutoTokenizer.from_pretrained(models / "base")
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
    assert not [thread for thread in threading.enumerate() if "_Generation" in repr(thread)]


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
    assert generator.adapters() == ["mute", "northwind", "skylark"]


def test_no_adapters_folder_means_no_adapters(models: Path, tmp_path: Path) -> None:
    lonely = TransformersGenerator(str(models / "base"), adapters_dir=tmp_path / "none")

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
    generator = TransformersGenerator(str(models / "base"), adapters_dir=tmp_path / "adapters")

    with pytest.raises(GeneratorError, match="has changed: its SHA-256 is"):
        text(generator, request(adapter="skylark"))
    assert text(generator, request())


def test_version_promoted_later_answers_from_then_on(models: Path, tmp_path: Path) -> None:
    register(tmp_path, models / "base", "skylark", size=0.0)
    generator = TransformersGenerator(str(models / "base"), adapters_dir=tmp_path / "adapters")
    before = text(generator, request(adapter="skylark"))
    register(tmp_path, models / "base", "skylark", size=2.0)

    assert before == text(generator, request())
    assert text(generator, request(adapter="skylark")) != before


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`:UserWarning")
def test_adapter_of_another_model_is_named_and_the_others_go_on(
    models: Path, tmp_path: Path
) -> None:
    save_model(tmp_path / "other", save_tokenizer(tmp_path / "other"), hidden=48)
    register(tmp_path, tmp_path / "other", "wide", size=2.0)
    register(tmp_path, models / "base", "skylark", size=2.0)
    generator = TransformersGenerator(str(models / "base"), adapters_dir=tmp_path / "adapters")
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

    with pytest.raises(GeneratorError, match="no chat template"):
        text(TransformersGenerator(str(tmp_path), adapters_dir=tmp_path), request())


def test_model_that_fails_is_a_generator_error_and_the_next_request_works(
    generator: TransformersGenerator,
) -> None:
    with pytest.raises(GeneratorError, match="failed"):
        text(generator, request(temperature=1e-40))  # every probability becomes nan
    assert text(generator, request())


def test_model_that_cites_nothing_is_replaced_by_quotations(
    generator: TransformersGenerator,
) -> None:
    prompt = replace(a_prompt("A carrier weighs 8 kg."), messages=(Message("user", "How heavy?"),))
    chat = ChatRequest(messages=prompt.messages, sampling=Sampling(max_new_tokens=8))
    writer = Writer(generator, ExtractiveGenerator(len))
    shown = "".join(writer.write(chat, prompt, Clock()))

    assert shown == "Page 1: “A carrier weighs 8 kg.” [1]"


def test_model_that_fails_is_replaced_by_quotations(generator: TransformersGenerator) -> None:
    prompt = replace(a_prompt("A carrier weighs 8 kg."), messages=(Message("user", "How heavy?"),))
    chat = ChatRequest(messages=prompt.messages, sampling=Sampling(temperature=1e-40))
    writer = Writer(generator, ExtractiveGenerator(len))
    shown = "".join(writer.write(chat, prompt, Clock()))

    assert shown == "Page 1: “A carrier weighs 8 kg.” [1]"


def test_piece_without_text_is_never_sent_before_the_last(
    generator: TransformersGenerator,
) -> None:
    *pieces, _ = generator.stream(request())

    assert Piece("") not in pieces
