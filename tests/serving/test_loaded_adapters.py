"""Adapters come and go beside a base model, within the memory that they may take."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from finetune.base_identity import read_base
from finetune.manifest import WEIGHTS_FILE, AdapterVersion
from finetune.safetensors_header import read_header
from serving.errors import GeneratorError
from serving.loaded_adapters import MIB, LoadedAdapters
from tests.serving.tiny_models import register, save_model, save_tokenizer

# PEFT reads an attribute that transformers has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
TOKENS = torch.tensor([[5, 9, 17]])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, AdapterVersion]]:
    """A base, and adapters of which two fit into a MiB."""
    folder = tmp_path_factory.mktemp("adapters")
    base = folder / "base"
    save_model(base, save_tokenizer(base), hidden=128)
    versions = {
        name: register(folder, base, name, size=1.0, rank=80) for name in ("one", "two", "three")
    }
    versions["two again"] = register(folder, base, "two", size=2.0, rank=8)
    versions["huge"] = register(folder, base, "huge", size=1.0, rank=300)
    return base, versions


@pytest.fixture
def versions(made: tuple[Path, dict[str, AdapterVersion]]) -> dict[str, AdapterVersion]:
    return made[1]


@pytest.fixture
def adapters(made: tuple[Path, dict[str, AdapterVersion]]) -> Iterator[LoadedAdapters]:
    library: Any = transformers
    model = library.AutoModelForCausalLM.from_pretrained(made[0]).eval()
    with torch.no_grad():
        yield LoadedAdapters(model, base=lambda: read_base(str(made[0])), limit_mib=1)


def logits(adapters: LoadedAdapters, label: str | None) -> torch.Tensor:
    out: torch.Tensor = adapters.forward([label], input_ids=TOKENS).logits
    return out


def test_two_of_the_adapters_fit_and_three_do_not(versions: dict[str, AdapterVersion]) -> None:
    sizes = [
        4 * sum(math.prod(t.shape) for t in read_header(version.directory / WEIGHTS_FILE))
        for version in versions.values()
    ]

    assert sum(sizes[:2]) < MIB < sum(sizes[:3])
    assert sizes[-1] > MIB


def test_first_use_takes_time_and_the_next_none(
    adapters: LoadedAdapters, versions: dict[str, AdapterVersion]
) -> None:
    first = adapters.use(versions["one"])

    assert first is not None
    assert first > 0
    assert adapters.use(versions["one"]) is None


def test_least_recently_used_leaves_first(
    adapters: LoadedAdapters, versions: dict[str, AdapterVersion]
) -> None:
    for name in ("one", "two", "one", "three"):
        adapters.use(versions[name])

    assert adapters.labels == ["one@1", "three@1"]


def test_adapter_that_left_and_came_back_is_the_same(
    adapters: LoadedAdapters, versions: dict[str, AdapterVersion]
) -> None:
    base = logits(adapters, None)
    adapters.use(versions["one"])
    before = logits(adapters, "one@1")
    for name in ("two", "three", "one"):
        adapters.use(versions[name])

    assert torch.equal(logits(adapters, "one@1"), before)
    assert torch.equal(logits(adapters, None), base)
    assert not torch.equal(before, base)


def test_adapter_in_use_never_leaves(
    adapters: LoadedAdapters, versions: dict[str, AdapterVersion]
) -> None:
    adapters.use(versions["one"])
    adapters.use(versions["two"])
    adapters.use(versions["three"], in_use=["one@1"])

    assert adapters.labels == ["one@1", "three@1"]
    assert adapters.must_wait(versions["two"], ["one@1", "three@1"])
    assert not adapters.must_wait(versions["two"], ["one@1"])
    assert not adapters.must_wait(versions["one"], ["one@1", "three@1"])


def test_older_version_leaves_with_the_newer_and_another_adapter_can_follow(
    adapters: LoadedAdapters, versions: dict[str, AdapterVersion]
) -> None:
    base = logits(adapters, None)
    adapters.use(versions["two"])
    adapters.use(versions["two again"])  # the only one left meanwhile: the base stands alone

    assert adapters.labels == ["two@2"]
    assert not torch.equal(logits(adapters, "two@2"), base)
    assert torch.equal(logits(adapters, None), base)


def test_older_version_in_use_stays(
    adapters: LoadedAdapters, versions: dict[str, AdapterVersion]
) -> None:
    adapters.use(versions["two"])
    adapters.use(versions["two again"], in_use=["two@1"])

    assert adapters.labels == ["two@1", "two@2"]


def test_adapter_that_alone_is_too_large_names_the_setting(
    adapters: LoadedAdapters, versions: dict[str, AdapterVersion]
) -> None:
    adapters.use(versions["one"])
    assert not adapters.must_wait(versions["huge"], ["one@1"])
    with pytest.raises(GeneratorError, match="raise TWOFOLD_ADAPTERS_MIB"):
        adapters.use(versions["huge"])

    assert adapters.labels == ["one@1"]


def test_forward_names_an_adapter_for_each_row(
    adapters: LoadedAdapters, versions: dict[str, AdapterVersion]
) -> None:
    for name in ("one", "two"):
        adapters.use(versions[name])
    labels = ["two@1", None, "one@1"]
    mixed = adapters.forward(labels, input_ids=TOKENS.repeat(3, 1)).logits

    for place, label in enumerate(labels):
        alone = logits(adapters, label)
        torch.testing.assert_close(mixed[place : place + 1], alone, rtol=1e-4, atol=1e-4)
