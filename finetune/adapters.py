"""The registry of adapters: a folder NAME/VERSION for each version, and the states in one file.

    adapters/
      registry.json                 states, and the highest number that each name has given out
      skylark/2/                    never changes once it is there
        adapter_model.safetensors
        adapter_config.json
        manifest.json

What is on disk decides which versions exist; `registry.json` says only how far each has come.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from finetune.adapter_checks import check_files, check_formats, read_config, shape_problems
from finetune.configuration import Method
from finetune.errors import AdapterError, DamagedAdapterError, IncompatibleAdapterError
from finetune.manifest import (
    CONFIG_FILE,
    MANIFEST_FILE,
    WEIGHTS_FILE,
    AdapterVersion,
    Base,
    Manifest,
    Provenance,
    State,
    check_name,
    describe,
    problems,
)
from finetune.safetensors_header import not_finite

REGISTRY_FILE = "registry.json"
LOCK_FILE = ".lock"
SCRATCH = ".scratch"  # what is not there yet, or not any more
NEXT_STATE = {State.CANDIDATE: State.LIVE, State.LIVE: State.RETIRED}
IMPORTED = {"LORA": Method.LORA, "PROMPT_TUNING": Method.PROMPT_TUNING}
# Of its training, what PEFT's configuration knows and people ask about.
IMPORTED_SETTINGS = ("r", "lora_alpha", "lora_dropout", "use_dora", "num_virtual_tokens")

logger = logging.getLogger(__name__)


class MissingAdapterError(AdapterError):
    """There is no such adapter, or no such version of it."""


class AdapterStateError(AdapterError):
    """The version's state forbids what was asked."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    issued: int = Field(default=0, ge=0)  # a number is never given twice, even after `remove`
    states: dict[int, State] = {}


class _Register(BaseModel):
    """`registry.json`."""

    model_config = ConfigDict(extra="forbid")

    format_version: Literal[1] = 1
    adapters: dict[str, _Entry] = {}

    def entry(self, name: str) -> _Entry:
        return self.adapters.setdefault(name, _Entry())


class AdapterRegistry:
    """Reads and changes the folder; processes may do so at once. It need not exist yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def versions(self) -> list[AdapterVersion]:
        """All of them, by name and number; what cannot be read is logged and left out."""
        register = self._register()
        found = []
        for name in self._names():
            for number in self._numbers(name):
                try:
                    found.append(self._read(name, number, register))
                except AdapterError as error:
                    logger.warning("left out: %s", error)
        return found

    def get(self, name: str, version: int | None = None) -> AdapterVersion:
        """One version; without a number the live one, or else the newest candidate.

        Raises:
            MissingAdapterError: names the adapter and what there is instead.
            AdapterError: its manifest cannot be read.
        """
        self._check_name(name)
        register, numbers = self._register(), self._numbers(name)
        if not numbers:
            there = ", ".join(other for other in self._names() if self._numbers(other)) or "none"
            raise MissingAdapterError(f"no adapter {name!r} in {self.folder}; there are: {there}")
        if version is None:
            version = self._default(name, numbers, register)
        elif version not in numbers:
            there = ", ".join(f"{name}@{number}" for number in numbers)
            raise MissingAdapterError(f"no adapter {name}@{version}; there are: {there}")
        return self._read(name, version, register)

    def add(self, directory: Path, manifest: Manifest) -> AdapterVersion:
        """Copy an adapter's files in as the next version of its name, a candidate.

        The manifest's version and state are set here. The version appears whole or not at all.

        Raises:
            AdapterError: the files are not those of the manifest, hold weights that are no
                numbers, or cannot be written.
        """
        self._check_name(manifest.name)
        check_formats(directory)
        name = manifest.name
        with self._writing() as register, self._scratch() as scratch:
            entry = register.entry(name)
            number = max(entry.issued, *self._numbers(name), 0) + 1
            numbered = manifest.model_copy(update={"version": number, "state": State.CANDIDATE})
            whole = scratch / str(number)
            _copy(directory, whole, numbered)
            entry.issued, entry.states[number] = number, State.CANDIDATE
            self._save(register)
            target = self._directory(name, number)
            target.parent.mkdir(exist_ok=True)
            whole.rename(target)
            sync(target.parent)
            sync(self.folder)
        return AdapterVersion(name, number, target, numbered, State.CANDIDATE)

    def import_directory(
        self, path: Path, *, name: str, base: Base, licence: str
    ) -> AdapterVersion:
        """Add a PEFT adapter that was trained elsewhere; its owner vouches for the base.

        Raises:
            IncompatibleAdapterError: its shapes do not fit the base.
            AdapterError: it cannot be read, or holds a pickle.
        """
        self._check_name(name)
        check_formats(path)
        config = read_config(path)
        if misfits := shape_problems(path, base.shapes):
            raise IncompatibleAdapterError(
                f"{path} does not fit the base {base.name!r}:\n"
                + "\n".join(f"  {misfit}" for misfit in misfits)
            )
        known = {setting: config[setting] for setting in IMPORTED_SETTINGS if setting in config}
        provenance = Provenance(data_licence=licence, training=known)
        method = IMPORTED[config["peft_type"]]
        return self.add(path, describe(path, base, name=name, method=method, provenance=provenance))

    def set_state(self, name: str, version: int, state: State) -> AdapterVersion:
        """Take a version one step on: candidate -> live -> retired.

        A version that becomes live retires the one that was; at most one is live at any moment.

        Raises:
            AdapterStateError: that is not the version's next state.
        """
        with self._writing() as register:
            found = self.get(name, version)
            if NEXT_STATE.get(found.state) is not state:
                raise AdapterStateError(_cannot(found, state))
            states = register.entry(name).states
            if state is State.LIVE:
                for number, other in states.items():
                    if other is State.LIVE:
                        states[number] = State.RETIRED
            states[version] = state
            self._save(register)
        return self.get(name, version)

    def remove(self, name: str, version: int, *, force: bool = False) -> None:
        """Delete a version, a damaged one too; its number is not used again.

        It is retired before it goes, so that a crash halfway leaves a retired version behind.

        Raises:
            AdapterStateError: it is live, and `force` is not given.
        """
        self._check_name(name)
        with self._writing() as register, self._scratch() as scratch:
            entry, numbers = register.entry(name), self._numbers(name)
            if version not in numbers:
                self.get(name, version)  # which says what there is
            if entry.states.get(version) is State.LIVE and not force:
                raise AdapterStateError(
                    f"{name}@{version} is live and answers now; promote another version first, or "
                    "remove it with --force"
                )
            entry.issued = max(entry.issued, *numbers)
            entry.states[version] = State.RETIRED
            self._save(register)
            directory = self._directory(name, version)
            directory.rename(scratch / str(version))
            sync(directory.parent)
            if not any(directory.parent.iterdir()):
                directory.parent.rmdir()
            self._forget(register, name, version)

    def _forget(self, register: _Register, name: str, version: int) -> None:
        """Drop the state of a version that is gone; one that stays after a failure does no harm."""
        del register.entry(name).states[version]
        try:
            self._save(register)
        except OSError as error:
            logger.warning("%s@%s is removed, its state is not: %s", name, version, error)

    def _check_name(self, name: str) -> None:
        check_name(name)
        folder = self.folder / name
        if folder.is_symlink():
            raise AdapterError(
                f"{folder} is a link to {folder.readlink()}; adapters lie inside the registry: put "
                "the folder itself there, or delete the link"
            )

    def _default(self, name: str, numbers: list[int], register: _Register) -> int:
        states = {number: self._state(name, number, register) for number in numbers}
        for wanted in (State.LIVE, State.CANDIDATE):
            if chosen := [number for number in numbers if states[number] is wanted]:
                return max(chosen)
        there = ", ".join(f"{name}@{number}" for number in numbers)
        raise MissingAdapterError(f"every version of {name!r} is retired; name one: {there}")

    def _read(self, name: str, number: int, register: _Register) -> AdapterVersion:
        directory = self._directory(name, number)
        manifest = Manifest.read(directory)
        if (manifest.name, manifest.version) != (name, number):
            raise AdapterError(
                f"the manifest in {directory} is that of {manifest.name}@{manifest.version}; move "
                "the folder away, and add it with `twofold adapters import`"
            )
        return AdapterVersion(
            name, number, directory, manifest, self._state(name, number, register)
        )

    @staticmethod
    def _state(name: str, number: int, register: _Register) -> State:
        entry = register.adapters.get(name)
        return entry.states.get(number, State.CANDIDATE) if entry else State.CANDIDATE

    def _directory(self, name: str, number: int) -> Path:
        return self.folder / name / str(number)

    def _names(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        return sorted(
            child.name
            for child in self.folder.iterdir()
            if child.is_dir() and not child.is_symlink() and not child.name.startswith(".")
        )

    def _numbers(self, name: str) -> list[int]:
        folder = self.folder / name
        if not folder.is_dir():
            return []
        return sorted(
            int(child.name)
            for child in folder.iterdir()
            if child.name.isdecimal() and child.name == str(int(child.name)) and child.is_dir()
        )

    def _register(self) -> _Register:
        path = self.folder / REGISTRY_FILE
        try:
            return _Register.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return _Register()
        except (OSError, ValidationError) as error:
            reason = problems(error) if isinstance(error, ValidationError) else error
            raise AdapterError(
                f"cannot read {path}: {reason}; restore it, or delete it: then every version is a "
                "candidate until it is promoted"
            ) from error

    def _save(self, register: _Register) -> None:
        path = self.folder / REGISTRY_FILE
        temporary = path.with_name(f".{REGISTRY_FILE}.tmp")
        try:
            _write(temporary, register.model_dump_json(indent=2) + "\n")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync(self.folder)

    @contextmanager
    def _writing(self) -> Iterator[_Register]:
        """What is registered, while nobody else changes it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / LOCK_FILE).open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield self._register()
        except OSError as error:
            raise AdapterError(
                f"cannot change {self.folder}: {error}; nothing was changed: "
                "make room, or make the folder writable, and run the command again"
            ) from error

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A folder on the same disk, so deep that nobody takes what is in it for an adapter.

        What a crash left behind goes with it.
        """
        top = self.folder / SCRATCH
        shutil.rmtree(top, ignore_errors=True)
        try:
            top.mkdir()
            yield Path(tempfile.mkdtemp(dir=top))
        finally:
            shutil.rmtree(top, ignore_errors=True)


def _copy(directory: Path, target: Path, manifest: Manifest) -> None:
    """The files of an adapter and nothing else, checked where they have arrived, read-only."""
    target.mkdir()
    for file_name in (WEIGHTS_FILE, CONFIG_FILE):
        shutil.copyfile(directory / file_name, target / file_name)
        sync(target / file_name)
    _write(target / MANIFEST_FILE, manifest.json_text())
    check_files(target, manifest)
    if names := not_finite(target / WEIGHTS_FILE):
        raise DamagedAdapterError(
            f"{directory / WEIGHTS_FILE} holds NaN or infinite weights in {len(names)} tensors, "
            f"{names[0]} first; train again at a lower learning rate, or take an older checkpoint"
        )
    for file in target.iterdir():
        file.chmod(0o444)
    sync(target)


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _cannot(found: AdapterVersion, state: State) -> str:
    following = NEXT_STATE.get(found.state)
    remedy = {
        State.CANDIDATE: "promote it, or remove it",
        State.LIVE: "retire it, or promote another version",
        State.RETIRED: "it does not come back; add its files again as a new version",
    }[found.state]
    return (
        f"{found.label} is {found.state} and cannot become {state}; next is "
        f"{following or 'nothing'}: {remedy}"
    )
