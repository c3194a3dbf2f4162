"""Rows that share steps write what each would write alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from finetune.base_identity import read_base
from finetune.manifest import AdapterVersion
from serving.answers import Sampling
from serving.decoding import Decoder, Row
from serving.loaded_adapters import LoadedAdapters
from serving.sampling import Sampler
from tests.serving.tiny_models import (
    go_live,
    register,
    save_model,
    save_prompt_tuning,
    save_tokenizer,
)

# PEFT reads an attribute that transformers has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
library: Any = transformers
PROMPTS = ([5, 9, 17, 30, 44, 8, 61], [7, 70, 12], [21, 3, 3, 80, 90, 11, 14, 65, 33, 27, 19])
TOKENS = 8


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[AdapterVersion]]:
    """A base, two LoRA adapters of different rank, and one of prompt tuning."""
    folder = tmp_path_factory.mktemp("voices")
    base = folder / "base"
    save_model(base, save_tokenizer(base), hidden=64)
    save_prompt_tuning(folder / "made" / "tuned", base)
    return base, [
        register(folder, base, "skylark", size=2.0, rank=4),
        register(folder, base, "northwind", size=1.0, rank=8),
        go_live(folder, base, "tuned"),
    ]


def row(prompt: list[int], adapter: str | None = None, **sampling: Any) -> Row:
    return Row(prompt, Sampler(Sampling(**sampling)), adapter)


def written(decoder: Decoder, *starts: Callable[[], Row]) -> list[list[int | None]]:
    """Each row joins two steps after the one before and leaves after `TOKENS` tokens."""
    waiting, running = list(starts), list[tuple[Row, list[int | None]]]()
    texts: list[list[int | None]] = []
    step = 0
    while waiting or running:
        if running:
            decoder.step()
            for one, text in running:
                text.append(one.token)
        if waiting and step % 2 == 0:
            one = waiting.pop(0)()
            decoder.read([one])
            texts.append([one.token])
            running.append((one, texts[-1]))
        for one, text in list(running):
            if len(text) == TOKENS:
                decoder.drop(one)
                running.remove((one, text))
        step += 1
    return texts


def check(decoder: Decoder, starts: list[Callable[[], Row]]) -> list[list[int | None]]:
    alone = [written(decoder, start)[0] for start in starts]
    assert written(decoder, *starts) == alone
    assert all(token is not None for text in alone for token in text)
    return alone


def no_adapters(model: Any) -> LoadedAdapters:
    def never() -> Any:
        raise AssertionError

    return LoadedAdapters(model.eval(), base=never, limit_mib=1)


def config_of(family: str, **more: Any) -> Any:
    sizes = {
        "vocab_size": 100,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
    }
    return getattr(library, family)(**sizes, **more)


def random_model(config: Any) -> Any:
    """Large weights, so that the tokens vary."""
    torch.manual_seed(20261129)
    with torch.inference_mode(mode=False):
        model = library.AutoModelForCausalLM.from_config(config)
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.data.normal_(std=0.5)
    return model


@pytest.mark.parametrize("nf4", [False, True])
def test_two_adapters_of_different_rank_and_the_base_share_a_batch(
    voices: tuple[Path, list[AdapterVersion]], nf4: bool
) -> None:
    base, versions = voices
    options: dict[str, Any] = {"dtype": torch.float32}
    if nf4:
        options["quantization_config"] = library.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32
        )
    model = library.AutoModelForCausalLM.from_pretrained(base, **options).eval()
    adapters = LoadedAdapters(model, base=lambda: read_base(str(base)), limit_mib=10)
    decoder = Decoder(adapters)
    with torch.inference_mode(mode=False):
        for version in versions:
            adapters.use(version, adapters.labels)
    labels = [None, *(version.label for version in versions)]
    prompt = PROMPTS[0]
    texts = check(
        decoder,
        [lambda label=label: row(prompt, label) for label in labels],  # type: ignore[misc]
    )

    assert decoder.shares
    assert len({tuple(text) for text in texts}) == len(labels)


@pytest.mark.parametrize(
    ("config", "shares"),
    [
        (config_of("LlamaConfig", num_key_value_heads=2), True),
        (config_of("Qwen3Config", num_key_value_heads=2, head_dim=8), True),
        (config_of("BertConfig", is_decoder=True), True),
        (config_of("GPT2Config"), True),
        (config_of("MistralConfig", num_key_value_heads=2, sliding_window=6), False),
    ],
    ids=lambda value: getattr(value, "model_type", str(value)),
)
def test_families_write_together_what_they_write_alone(config: Any, shares: bool) -> None:
    decoder = Decoder(no_adapters(random_model(config)))
    check(decoder, [lambda p=prompt: row(p) for prompt in PROMPTS])  # type: ignore[misc]

    assert decoder.shares == shares


def test_prompts_read_together_go_on_as_if_read_alone() -> None:
    decoder = Decoder(no_adapters(random_model(config_of("LlamaConfig"))))
    alone = [written(decoder, lambda p=p: row(p))[0] for p in PROMPTS]  # type: ignore[misc]
    rows = [row(prompt) for prompt in PROMPTS]
    decoder.read(rows)
    texts = [[each.token] for each in rows]
    for _ in range(TOKENS - 1):
        decoder.step()
        for text, each in zip(texts, rows, strict=True):
            text.append(each.token)

    assert texts == alone


def test_greedy_text_is_that_of_generate() -> None:
    model = random_model(config_of("LlamaConfig", num_key_value_heads=2)).eval()
    expected = model.generate(
        torch.tensor([PROMPTS[2]]),
        attention_mask=torch.ones(1, len(PROMPTS[2]), dtype=torch.long),
        max_new_tokens=TOKENS,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )[0, len(PROMPTS[2]) :]

    assert written(Decoder(no_adapters(model)), lambda: row(PROMPTS[2]))[0] == expected.tolist()


def test_seeded_draws_do_not_depend_on_the_rows_beside() -> None:
    decoder = Decoder(no_adapters(random_model(config_of("LlamaConfig"))))
    start: Callable[[], Row] = lambda: row(PROMPTS[0], temperature=1.5, top_p=0.9, seed=11)  # noqa: E731
    (alone,) = written(decoder, start)
    beside: Callable[[], Row] = lambda: row(PROMPTS[1], temperature=1.0)  # noqa: E731

    assert written(decoder, beside, start, beside)[1] == alone


def test_rows_forgotten_after_a_failure_leave_nothing_behind() -> None:
    decoder = Decoder(no_adapters(random_model(config_of("LlamaConfig"))))
    (alone,) = written(decoder, lambda: row(PROMPTS[1]))
    decoder.read([row(PROMPTS[0])])
    decoder.clear()

    assert written(decoder, lambda: row(PROMPTS[1])) == [alone]
