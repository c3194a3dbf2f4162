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

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from finetune.adapter_checks import check_formats
from finetune.adapter_folders import AdapterFolders, copy_adapter
from finetune.adapter_import import describe_import
from finetune.adapter_states import AdapterStates
from finetune.errors import AdapterError, AdapterStateError, MissingAdapterError
from finetune.manifest import AdapterVersion, Base, Manifest, State

logger = logging.getLogger(__name__)


class AdapterRegistry:
    """Reads and changes the folder; processes may do so at once. It need not exist yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._folders = AdapterFolders(folder)

    def versions(self) -> list[AdapterVersion]:
        """All of them, by name and number; what cannot be read is logged and left out."""
        states = AdapterStates.read(self.folder)
        found = []
        for name in self._folders.names():
            for number in self._folders.numbers(name):
                try:
                    found.append(self._read(name, number, states))
                except AdapterError as error:
                    logger.warning("left out: %s", error)
        return found

    def get(self, name: str, version: int | None = None) -> AdapterVersion:
        """One version; without a number the live one, or else the newest candidate.

        Raises:
            MissingAdapterError: names the adapter and what there is instead.
            AdapterError: its manifest cannot be read.
        """
        self._folders.check_name(name)
        states, numbers = AdapterStates.read(self.folder), self._folders.numbers(name)
        if not numbers:
            others = [other for other in self._folders.names() if self._folders.numbers(other)]
            raise MissingAdapterError(
                f"no adapter {name!r} in {self.folder}; there are: {', '.join(others) or 'none'}"
            )
        if version is None:
            version = _default(name, numbers, states)
        elif version not in numbers:
            there = ", ".join(f"{name}@{number}" for number in numbers)
            raise MissingAdapterError(f"no adapter {name}@{version}; there are: {there}")
        return self._read(name, version, states)

    def add(self, directory: Path, manifest: Manifest) -> AdapterVersion:
        """Copy an adapter's files in as the next version of its name, a candidate.

        The manifest's version and state are set here. The version appears whole or not at all.

        Raises:
            AdapterError: the files are not those of the manifest, hold weights that are no
                numbers, or cannot be written.
        """
        self._folders.check_name(manifest.name)
        check_formats(directory)
        name = manifest.name
        with self._writing() as states, self._folders.scratch() as scratch:
            known = states.of_name(name)
            number = max(known.issued, *self._folders.numbers(name), 0) + 1
            numbered = manifest.model_copy(update={"version": number, "state": State.CANDIDATE})
            whole = scratch / str(number)
            copy_adapter(directory, whole, numbered)
            known.issued, known.states[number] = number, State.CANDIDATE
            states.save(self.folder)
            target = self._folders.place(whole, name, number)
        return AdapterVersion(name, number, target, numbered, State.CANDIDATE)

    def import_directory(
        self, path: Path, *, name: str, base: Base, licence: str
    ) -> AdapterVersion:
        """Add a PEFT adapter that was trained elsewhere; its owner vouches for the base.

        Raises:
            IncompatibleAdapterError: its shapes do not fit the base.
            AdapterError: it cannot be read, or holds a pickle.
        """
        self._folders.check_name(name)
        return self.add(path, describe_import(path, base, name=name, licence=licence))

    def set_state(self, name: str, version: int, state: State) -> AdapterVersion:
        """Take a version one step on: candidate -> live -> retired.

        A version that becomes live retires the one that was; at most one is live at any moment.

        Raises:
            AdapterStateError: that is not the version's next state.
        """
        with self._writing() as states:
            states.advance(self.get(name, version), state)
            states.save(self.folder)
        return self.get(name, version)

    def remove(self, name: str, version: int, *, force: bool = False) -> None:
        """Delete a version, a damaged one too; its number is not used again.

        It is retired before it goes, so that a crash halfway leaves a retired version behind.

        Raises:
            AdapterStateError: it is live, and `force` is not given.
        """
        self._folders.check_name(name)
        with self._writing() as states, self._folders.scratch() as scratch:
            known, numbers = states.of_name(name), self._folders.numbers(name)
            if version not in numbers:
                self.get(name, version)  # which says what there is
            if known.states.get(version) is State.LIVE and not force:
                raise AdapterStateError(
                    f"{name}@{version} is live and answers now; promote another version first, or "
                    "remove it with --force"
                )
            known.issued = max(known.issued, *numbers)
            known.states[version] = State.RETIRED
            states.save(self.folder)
            self._folders.displace(name, version, scratch / str(version))
            self._forget(states, name, version)

    def _forget(self, states: AdapterStates, name: str, version: int) -> None:
        """Drop the state of a version that is gone; one that stays after a failure does no harm."""
        del states.of_name(name).states[version]
        try:
            states.save(self.folder)
        except OSError as error:
            logger.warning("%s@%s is removed, its state is not: %s", name, version, error)

    def _read(self, name: str, number: int, states: AdapterStates) -> AdapterVersion:
        directory = self._folders.directory(name, number)
        manifest = Manifest.read(directory)
        if (manifest.name, manifest.version) != (name, number):
            raise AdapterError(
                f"the manifest in {directory} is that of {manifest.name}@{manifest.version}; move "
                "the folder away, and add it with `twofold adapters import`"
            )
        return AdapterVersion(name, number, directory, manifest, states.state(name, number))

    @contextmanager
    def _writing(self) -> Iterator[AdapterStates]:
        """The states, while nobody else changes them."""
        with self._folders.locked():
            yield AdapterStates.read(self.folder)


def _default(name: str, numbers: list[int], states: AdapterStates) -> int:
    """The live version, or else the newest candidate."""
    for wanted in (State.LIVE, State.CANDIDATE):
        if chosen := [number for number in numbers if states.state(name, number) is wanted]:
            return max(chosen)
    there = ", ".join(f"{name}@{number}" for number in numbers)
    raise MissingAdapterError(f"every version of {name!r} is retired; name one: {there}")
