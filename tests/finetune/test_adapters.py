"""The registry: what is added, found by name and number, and removed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from finetune.adapters import AdapterRegistry
from finetune.errors import (
    AdapterError,
    AdapterStateError,
    DamagedAdapterError,
    MissingAdapterError,
)
from finetune.manifest import CONFIG_FILE, MANIFEST_FILE, WEIGHTS_FILE, State
from tests.finetune.saved_adapters import LAYER, ONE_LAYER, add, labels, manifest_of, save_lora


def test_registry_that_does_not_exist_is_empty(registry: AdapterRegistry) -> None:
    assert registry.versions() == []
    assert not registry.folder.exists()


def test_added_version_holds_the_three_files_and_starts_as_a_candidate(
    registry: AdapterRegistry, trained: Path
) -> None:
    (trained / "README.md").write_text("a model card")
    added = add(registry, trained)

    assert added.label == "skylark@1"
    assert added.directory == registry.folder / "skylark" / "1"
    assert {file.name for file in added.directory.iterdir()} == {
        WEIGHTS_FILE,
        CONFIG_FILE,
        MANIFEST_FILE,
    }
    assert added.state is State.CANDIDATE
    assert (added.directory / WEIGHTS_FILE).read_bytes() == (trained / WEIGHTS_FILE).read_bytes()
    assert registry.get("skylark", 1) == added


def test_versions_are_numbered_by_name(registry: AdapterRegistry, trained: Path) -> None:
    for name in ("skylark", "meridian", "skylark"):
        add(registry, trained, name)

    assert labels(registry.versions()) == ["meridian@1", "skylark@1", "skylark@2"]
    assert registry.get("skylark", 2).manifest.version == 2


def test_tenth_version_is_the_newest(registry: AdapterRegistry, trained: Path) -> None:
    for _ in range(10):
        add(registry, trained)

    assert registry.get("skylark").version == 10
    assert labels(registry.versions())[-2:] == ["skylark@9", "skylark@10"]


def test_version_and_state_of_a_given_manifest_do_not_count(
    registry: AdapterRegistry, trained: Path
) -> None:
    given = manifest_of(trained).model_copy(update={"version": 7, "state": State.LIVE})
    added = registry.add(trained, given)

    assert (added.version, added.state) == (1, State.CANDIDATE)
    assert (added.manifest.version, added.manifest.state) == (1, State.CANDIDATE)


def test_files_that_are_not_the_manifests_are_refused(
    registry: AdapterRegistry, trained: Path, tmp_path: Path
) -> None:
    manifest = manifest_of(trained)
    other = save_lora(tmp_path / "other", value=2.0)

    with pytest.raises(DamagedAdapterError, match=r"adapter_model.safetensors has changed"):
        registry.add(other, manifest)
    assert registry.versions() == []


def test_pickle_beside_the_weights_is_refused(registry: AdapterRegistry, trained: Path) -> None:
    manifest = manifest_of(trained)
    (trained / "training_args.bin").write_bytes(b"")

    with pytest.raises(DamagedAdapterError, match=r"training_args.bin: pickles can run code"):
        registry.add(trained, manifest)
    assert registry.versions() == []


def test_name_that_is_no_folder_name_is_refused(registry: AdapterRegistry, trained: Path) -> None:
    manifest = manifest_of(trained).model_copy(update={"name": "../evil"})

    with pytest.raises(AdapterError, match=r"'\.\./evil' is no name for an adapter"):
        registry.add(trained, manifest)
    with pytest.raises(AdapterError, match=r"'\.\./evil' is no name for an adapter"):
        registry.get("../evil")
    with pytest.raises(AdapterError, match=r"'\.\./evil' is no name for an adapter"):
        registry.remove("../evil", 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused(
    registry: AdapterRegistry, tmp_path: Path, value: float
) -> None:
    folder = save_lora(tmp_path / "diverged", value=value)

    message = rf"NaN or infinite weights in 1 tensors, .*{LAYER}.lora_A.weight first"
    with pytest.raises(DamagedAdapterError, match=message):
        add(registry, folder)
    with pytest.raises(DamagedAdapterError, match=message):
        registry.import_directory(folder, name="skylark", base=ONE_LAYER, licence="CC0-1.0")
    assert registry.versions() == []


def test_missing_adapter_and_version_say_what_there_is(
    registry: AdapterRegistry, trained: Path
) -> None:
    with pytest.raises(MissingAdapterError, match=r"no adapter 'skylark'.*there are: none"):
        registry.get("skylark")
    add(registry, trained)
    with pytest.raises(MissingAdapterError, match=r"no adapter 'northwind'.*there are: skylark"):
        registry.get("northwind")
    with pytest.raises(MissingAdapterError, match=r"no adapter skylark@3; there are: skylark@1"):
        registry.get("skylark", 3)


def test_get_without_a_number_gives_the_live_version(
    registry: AdapterRegistry, trained: Path
) -> None:
    for _ in range(3):
        add(registry, trained)
    assert registry.get("skylark").version == 3
    registry.set_state("skylark", 2, State.LIVE)
    assert registry.get("skylark").version == 2


def test_retired_version_is_had_only_by_its_number(
    registry: AdapterRegistry, trained: Path
) -> None:
    add(registry, trained)
    registry.set_state("skylark", 1, State.LIVE)
    registry.set_state("skylark", 1, State.RETIRED)

    assert registry.get("skylark", 1).state is State.RETIRED
    with pytest.raises(MissingAdapterError, match=r"'skylark' is retired; name one: skylark@1"):
        registry.get("skylark")


def test_removed_version_is_gone_and_its_number_is_not_used_again(
    registry: AdapterRegistry, trained: Path
) -> None:
    add(registry, trained)
    add(registry, trained)
    registry.remove("skylark", 2)

    assert labels(registry.versions()) == ["skylark@1"]
    assert add(registry, trained).version == 3


def test_last_version_removed_takes_its_folder_along(
    registry: AdapterRegistry, trained: Path
) -> None:
    add(registry, trained)
    registry.remove("skylark", 1)

    assert not (registry.folder / "skylark").exists()
    assert add(registry, trained).version == 2


def test_live_version_is_removed_only_by_force(registry: AdapterRegistry, trained: Path) -> None:
    add(registry, trained)
    registry.set_state("skylark", 1, State.LIVE)

    with pytest.raises(AdapterStateError, match=r"skylark@1 is live.*--force"):
        registry.remove("skylark", 1)
    assert labels(registry.versions()) == ["skylark@1"]
    registry.remove("skylark", 1, force=True)
    assert registry.versions() == []


def test_removing_what_is_not_there_says_what_is(registry: AdapterRegistry, trained: Path) -> None:
    add(registry, trained)

    with pytest.raises(MissingAdapterError, match=r"skylark@9; there are: skylark@1"):
        registry.remove("skylark", 9)


def test_damaged_version_is_left_out_logged_and_can_be_removed(
    registry: AdapterRegistry, trained: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add(registry, trained)
    damaged = add(registry, trained)
    (damaged.directory / MANIFEST_FILE).unlink()

    assert labels(registry.versions()) == ["skylark@1"]
    assert "holds no manifest.json" in caplog.text
    with pytest.raises(AdapterError, match=r"holds no manifest.json"):
        registry.get("skylark", 2)
    registry.remove("skylark", 2)
    assert not damaged.directory.exists()


def test_version_under_another_name_is_refused(registry: AdapterRegistry, trained: Path) -> None:
    add(registry, trained)
    (registry.folder / "skylark").rename(registry.folder / "northwind")

    with pytest.raises(AdapterError, match="is that of skylark@1; move the folder away"):
        registry.get("northwind", 1)
