"""Full disks, crashes, links and several writers: whole versions or none, and no number twice."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from finetune.adapter_states import REGISTRY_FILE, AdapterStates
from finetune.adapters import AdapterRegistry
from finetune.errors import AdapterError, AdapterStateError, MissingAdapterError
from finetune.manifest import WEIGHTS_FILE, State
from tests.finetune.saved_adapters import ONE_LAYER, add, contents, labels


def test_files_of_a_version_are_read_only(registry: AdapterRegistry, trained: Path) -> None:
    added = add(registry, trained)

    assert {file.stat().st_mode & 0o777 for file in added.directory.iterdir()} == {0o444}


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

    monkeypatch.setattr("finetune.adapter_folders.shutil.copyfile", full)
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
    save = AdapterStates.save

    def full(self: AdapterStates, folder: Path) -> None:
        if not self.of_name("skylark").states:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(self, folder)

    monkeypatch.setattr(AdapterStates, "save", full)
    registry.remove("skylark", 1)

    assert registry.versions() == []
    assert "skylark@1 is removed, its state is not" in caplog.text


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


def test_name_that_links_out_of_the_registry_is_refused(
    registry: AdapterRegistry, trained: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    shutil.copytree(add(registry, trained).directory, outside / "1")
    (registry.folder / "linked").symlink_to(outside)
    before = contents(outside)

    changes: list[Callable[[], object]] = [
        lambda: add(registry, trained, "linked"),
        lambda: registry.import_directory(
            trained, name="linked", base=ONE_LAYER, licence="CC0-1.0"
        ),
        lambda: registry.get("linked", 1),
        lambda: registry.set_state("linked", 1, State.LIVE),
        lambda: registry.remove("linked", 1),
    ]
    for change in changes:
        with pytest.raises(AdapterError, match=r"adapters/linked is a link to .*outside"):
            change()
    assert labels(registry.versions()) == ["skylark@1"]
    assert contents(outside) == before


def test_folder_that_cannot_be_made_is_named(tmp_path: Path, trained: Path) -> None:
    (tmp_path / "file").write_text("")
    registry = AdapterRegistry(tmp_path / "file" / "adapters")

    with pytest.raises(AdapterError, match=r"cannot change .*file/adapters"):
        add(registry, trained)


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
