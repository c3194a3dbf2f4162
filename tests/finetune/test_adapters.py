"""The registry: whole versions or none, numbers given once, one live version a name."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from finetune.adapters import (
    REGISTRY_FILE,
    AdapterRegistry,
    AdapterStateError,
    MissingAdapterError,
)
from finetune.configuration import Method
from finetune.errors import AdapterError, DamagedAdapterError, IncompatibleAdapterError
from finetune.manifest import (
    CONFIG_FILE,
    MANIFEST_FILE,
    WEIGHTS_FILE,
    AdapterVersion,
    Manifest,
    Provenance,
    State,
    describe,
)
from tests.finetune.test_manifest import BASE as NO_SHAPES

LAYER = "model.layers.0.self_attn.q_proj"
BASE = replace(NO_SHAPES, shapes={f"{LAYER}.weight": (6, 4)})
PROVENANCE = Provenance(data_licence="CC-BY-4.0")


def save_lora(folder: Path, *, rank: int = 2, value: float = 1.0) -> Path:
    """A LoRA of one layer that reads 4 numbers and writes 6."""
    folder.mkdir(parents=True)
    tensors = {
        f"base_model.model.{LAYER}.lora_A.weight": np.full((rank, 4), value, np.float32),
        f"base_model.model.{LAYER}.lora_B.weight": np.zeros((6, rank), np.float32),
    }
    save_file(tensors, folder / WEIGHTS_FILE)
    (folder / CONFIG_FILE).write_text(json.dumps({"peft_type": "LORA", "r": rank}))
    return folder


def manifest_of(folder: Path, name: str = "skylark") -> Manifest:
    return describe(folder, BASE, name=name, method=Method.LORA, provenance=PROVENANCE)


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    return save_lora(tmp_path / "trained")


@pytest.fixture
def registry(tmp_path: Path) -> AdapterRegistry:
    return AdapterRegistry(tmp_path / "home" / "adapters")


def add(registry: AdapterRegistry, folder: Path, name: str = "skylark") -> AdapterVersion:
    return registry.add(folder, manifest_of(folder, name))


def labels(versions: Sequence[AdapterVersion]) -> list[str]:
    return [version.label for version in versions]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of the registry but its lock."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


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


def test_files_of_a_version_are_read_only(registry: AdapterRegistry, trained: Path) -> None:
    added = add(registry, trained)

    assert {file.stat().st_mode & 0o777 for file in added.directory.iterdir()} == {0o444}


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


def test_what_a_crash_left_goes_with_the_next_change(
    registry: AdapterRegistry, trained: Path
) -> None:
    left = registry.folder / ".scratch" / "abc" / "3" / WEIGHTS_FILE
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    add(registry, trained)

    assert not (registry.folder / ".scratch").exists()


def test_full_disk_while_adding_leaves_nothing(
    registry: AdapterRegistry, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(registry, trained)
    before = contents(registry.folder)

    def full(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:20])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("finetune.adapters.shutil.copyfile", full)
    with pytest.raises(AdapterError, match=r"No space left.*nothing was changed: make room"):
        add(registry, trained)
    assert contents(registry.folder) == before


class Crash(BaseException):
    """Ends a change as the end of its process would: nothing handles it."""


def crash(*_: object) -> None:
    raise Crash


@pytest.mark.parametrize("state", [State.RETIRED, State.LIVE])
def test_crash_while_removing_leaves_a_retired_version(
    registry: AdapterRegistry, trained: Path, monkeypatch: pytest.MonkeyPatch, state: State
) -> None:
    add(registry, trained)
    registry.set_state("skylark", 1, State.LIVE)
    if state is State.RETIRED:
        registry.set_state("skylark", 1, State.RETIRED)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", crash)  # which follows the first save
        with pytest.raises(Crash):
            registry.remove("skylark", 1, force=True)

    assert registry.get("skylark", 1).state is State.RETIRED
    with pytest.raises(MissingAdapterError, match="is retired"):
        registry.get("skylark")
    with pytest.raises(AdapterStateError, match="retired and cannot become live"):
        registry.set_state("skylark", 1, State.LIVE)
    registry.remove("skylark", 1)
    assert registry.versions() == []


def test_crash_after_removing_does_not_give_the_number_again(
    registry: AdapterRegistry, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(registry, trained)
    with monkeypatch.context() as patch:
        patch.setattr(AdapterRegistry, "_forget", crash)  # which follows the move
        with pytest.raises(Crash):
            registry.remove("skylark", 1)

    assert registry.versions() == []
    assert add(registry, trained).version == 2


def test_full_disk_after_removing_is_logged_and_the_version_is_gone(
    registry: AdapterRegistry,
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    add(registry, trained)
    save = AdapterRegistry._save

    def full(self: AdapterRegistry, register: Any) -> None:
        if not register.entry("skylark").states:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(self, register)

    monkeypatch.setattr(AdapterRegistry, "_save", full)
    registry.remove("skylark", 1)

    assert registry.versions() == []
    assert "skylark@1 is removed, its state is not" in caplog.text


def test_removed_version_leaves_no_state_behind(registry: AdapterRegistry, trained: Path) -> None:
    add(registry, trained)
    registry.remove("skylark", 1)

    written = json.loads((registry.folder / REGISTRY_FILE).read_text())
    assert written["adapters"]["skylark"] == {"issued": 1, "states": {}}


@pytest.mark.parametrize("change", ["add", "promote", "remove"])
def test_full_disk_while_states_are_written_changes_nothing(
    registry: AdapterRegistry, trained: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    add(registry, trained)
    before = contents(registry.folder)
    write = Path.replace

    def full(self: Path, target: Path) -> Path:
        if target.name == REGISTRY_FILE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, target)

    monkeypatch.setattr(Path, "replace", full)
    changes: dict[str, Callable[[], object]] = {
        "add": lambda: add(registry, trained),
        "promote": lambda: registry.set_state("skylark", 1, State.LIVE),
        "remove": lambda: registry.remove("skylark", 1),
    }
    with pytest.raises(AdapterError, match="No space left"):
        changes[change]()
    assert contents(registry.folder) == before


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


def test_name_that_links_out_of_the_registry_is_refused(
    registry: AdapterRegistry, trained: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    shutil.copytree(add(registry, trained).directory, outside / "1")
    (registry.folder / "linked").symlink_to(outside)
    before = contents(outside)

    changes: list[Callable[[], object]] = [
        lambda: add(registry, trained, "linked"),
        lambda: registry.import_directory(trained, name="linked", base=BASE, licence="CC0-1.0"),
        lambda: registry.get("linked", 1),
        lambda: registry.set_state("linked", 1, State.LIVE),
        lambda: registry.remove("linked", 1),
    ]
    for change in changes:
        with pytest.raises(AdapterError, match=r"adapters/linked is a link to .*outside"):
            change()
    assert labels(registry.versions()) == ["skylark@1"]
    assert contents(outside) == before


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused(
    registry: AdapterRegistry, tmp_path: Path, value: float
) -> None:
    folder = save_lora(tmp_path / "diverged", value=value)

    message = rf"NaN or infinite weights in 1 tensors, .*{LAYER}.lora_A.weight first"
    with pytest.raises(DamagedAdapterError, match=message):
        add(registry, folder)
    with pytest.raises(DamagedAdapterError, match=message):
        registry.import_directory(folder, name="skylark", base=BASE, licence="CC0-1.0")
    assert registry.versions() == []


def test_import_of_half_an_adapter_is_refused(registry: AdapterRegistry, trained: Path) -> None:
    config = {"peft_type": "LORA", "r": 2, "target_modules": ["q_proj"]}
    (trained / CONFIG_FILE).write_text(json.dumps(config))
    second = LAYER.replace("0", "1")
    deep = replace(BASE, shapes={**BASE.shapes, f"{second}.weight": (6, 4)})

    with pytest.raises(IncompatibleAdapterError, match=f"1 of its 2 layers .*{second}"):
        registry.import_directory(trained, name="skylark", base=deep, licence="CC0-1.0")
    added = registry.import_directory(trained, name="skylark", base=BASE, licence="CC0-1.0")
    assert added.label == "skylark@1"


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


def test_promoted_version_retires_the_one_before_and_no_other_name(
    registry: AdapterRegistry, trained: Path
) -> None:
    for name in ("skylark", "skylark", "meridian"):
        add(registry, trained, name)
    registry.set_state("meridian", 1, State.LIVE)
    registry.set_state("skylark", 1, State.LIVE)
    registry.set_state("skylark", 2, State.LIVE)

    assert {version.label: version.state for version in registry.versions()} == {
        "meridian@1": State.LIVE,
        "skylark@1": State.RETIRED,
        "skylark@2": State.LIVE,
    }


def test_state_outlives_the_object_and_leaves_the_directory_as_it_was(
    registry: AdapterRegistry, trained: Path
) -> None:
    added = add(registry, trained)
    before = contents(added.directory)
    registry.set_state("skylark", 1, State.LIVE)

    assert AdapterRegistry(registry.folder).get("skylark", 1).state is State.LIVE
    assert contents(added.directory) == before


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        ([State.CANDIDATE], "is candidate and cannot become candidate; next is live"),
        ([State.RETIRED], "is candidate and cannot become retired; next is live"),
        ([State.LIVE, State.LIVE], "is live and cannot become live; next is retired"),
        ([State.LIVE, State.CANDIDATE], "is live and cannot become candidate; next is retired"),
        (
            [State.LIVE, State.RETIRED, State.LIVE],
            "is retired and cannot become live; next is nothing: it does not come back",
        ),
    ],
)
def test_state_goes_only_forward(
    registry: AdapterRegistry, trained: Path, steps: list[State], problem: str
) -> None:
    add(registry, trained)
    *allowed, refused = steps
    for step in allowed:
        registry.set_state("skylark", 1, step)

    with pytest.raises(AdapterStateError, match=f"skylark@1 {problem}"):
        registry.set_state("skylark", 1, refused)
    assert registry.get("skylark", 1).state is ([State.CANDIDATE, *allowed][-1])


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


def test_damaged_registry_file_says_what_to_do(registry: AdapterRegistry, trained: Path) -> None:
    add(registry, trained)
    (registry.folder / REGISTRY_FILE).write_text('{"adapters": 3}')

    with pytest.raises(AdapterError, match=r"registry.json.*restore it, or delete it"):
        registry.versions()


def test_without_the_registry_file_every_version_is_a_candidate(
    registry: AdapterRegistry, trained: Path
) -> None:
    add(registry, trained)
    registry.set_state("skylark", 1, State.LIVE)
    (registry.folder / REGISTRY_FILE).unlink()

    assert registry.get("skylark").state is State.CANDIDATE
    assert add(registry, trained).version == 2


def test_folder_that_cannot_be_made_is_named(tmp_path: Path, trained: Path) -> None:
    (tmp_path / "file").write_text("")
    registry = AdapterRegistry(tmp_path / "file" / "adapters")

    with pytest.raises(AdapterError, match=r"cannot change .*file/adapters"):
        add(registry, trained)


def test_adapter_from_elsewhere_is_imported(registry: AdapterRegistry, trained: Path) -> None:
    added = registry.import_directory(trained, name="skylark", base=BASE, licence="CC0-1.0")

    assert added.label == "skylark@1"
    assert added.manifest.method is Method.LORA
    assert added.manifest.data_licence == "CC0-1.0"
    assert added.manifest.data_sha256 is None
    assert added.manifest.training == {"r": 2}


def test_import_for_another_base_is_refused(registry: AdapterRegistry, trained: Path) -> None:
    wide = replace(BASE, shapes={f"{LAYER}.weight": (8, 8)})

    with pytest.raises(IncompatibleAdapterError, match=r"lora_A.weight has shape \(2, 4\)"):
        registry.import_directory(trained, name="skylark", base=wide, licence="CC0-1.0")
    assert registry.versions() == []


@pytest.mark.parametrize(
    ("prepare", "problem"),
    [
        (lambda folder: (folder / WEIGHTS_FILE).unlink(), "holds no adapter_model.safetensors"),
        (lambda folder: (folder / CONFIG_FILE).unlink(), "holds no adapter_config.json"),
        (lambda folder: (folder / CONFIG_FILE).write_text("{"), "cannot read"),
        (
            lambda folder: (folder / CONFIG_FILE).write_text('{"peft_type": "IA3"}'),
            "is for 'IA3'; adapters are LORA or PROMPT_TUNING",
        ),
        (
            lambda folder: (folder / WEIGHTS_FILE).rename(folder / "adapter_model.bin"),
            "adapter_model.bin: pickles can run code",
        ),
    ],
)
def test_import_of_a_folder_that_is_no_adapter_is_refused(
    registry: AdapterRegistry, trained: Path, prepare: Any, problem: str
) -> None:
    prepare(trained)

    with pytest.raises(AdapterError, match=problem):
        registry.import_directory(trained, name="skylark", base=BASE, licence="CC0-1.0")
    assert registry.versions() == []


def test_writers_at_once_get_numbers_of_their_own(registry: AdapterRegistry, trained: Path) -> None:
    def add_some(_: int) -> None:
        own = AdapterRegistry(registry.folder)
        for _ in range(5):
            own.set_state("skylark", add(own, trained).version, State.LIVE)

    with ThreadPoolExecutor(3) as writers:
        list(writers.map(add_some, range(3)))
    versions = registry.versions()

    assert [version.version for version in versions] == list(range(1, 16))
    assert [version.state for version in versions].count(State.LIVE) == 1
