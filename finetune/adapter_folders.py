"""The folders NAME/VERSION of adapters: which there are, and how one comes and goes as a whole."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from finetune.adapter_checks import check_files
from finetune.durable_files import sync, write
from finetune.errors import AdapterError, DamagedAdapterError
from finetune.manifest import CONFIG_FILE, MANIFEST_FILE, WEIGHTS_FILE, Manifest, check_name
from finetune.safetensors_header import not_finite

LOCK_FILE = ".lock"
SCRATCH = ".scratch"  # what is not there yet, or not any more


@dataclass(frozen=True, slots=True)
class AdapterFolders:
    """Everything below one folder, which need not exist yet."""

    root: Path

    def directory(self, name: str, number: int) -> Path:
        """Where a version lies, or would."""
        return self.root / name / str(number)

    def names(self) -> list[str]:
        """Sorted; links and hidden folders are no adapters."""
        if not self.root.is_dir():
            return []
        return sorted(
            child.name
            for child in self.root.iterdir()
            if child.is_dir() and not child.is_symlink() and not child.name.startswith(".")
        )

    def numbers(self, name: str) -> list[int]:
        """The versions of a name, the newest last."""
        folder = self.root / name
        if not folder.is_dir():
            return []
        return sorted(
            int(child.name)
            for child in folder.iterdir()
            if child.name.isdecimal() and child.name == str(int(child.name)) and child.is_dir()
        )

    def check_name(self, name: str) -> None:
        """Raises AdapterError for a name that leads out of the folder, or is none."""
        check_name(name)
        folder = self.root / name
        if folder.is_symlink():
            raise AdapterError(
                f"{folder} is a link to {folder.readlink()}; adapters lie inside the registry: put "
                "the folder itself there, or delete the link"
            )

    def place(self, whole: Path, name: str, number: int) -> Path:
        """Move a version's finished folder to where it belongs."""
        target = self.directory(name, number)
        target.parent.mkdir(exist_ok=True)
        whole.rename(target)
        sync(target.parent)
        sync(self.root)
        return target

    def displace(self, name: str, number: int, to: Path) -> None:
        """Move a version out of the way; the last one takes its name's folder along."""
        directory = self.directory(name, number)
        directory.rename(to)
        sync(directory.parent)
        if not any(directory.parent.iterdir()):
            directory.parent.rmdir()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else changes anything meanwhile. Raises AdapterError for what the disk refuses."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with (self.root / LOCK_FILE).open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise AdapterError(
                f"cannot change {self.root}: {error}; nothing was changed: "
                "make room, or make the folder writable, and run the command again"
            ) from error

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder on the same disk, so deep that nobody takes what is in it for an adapter.

        What a crash left behind goes with it.
        """
        top = self.root / SCRATCH
        shutil.rmtree(top, ignore_errors=True)
        try:
            top.mkdir()
            yield Path(tempfile.mkdtemp(dir=top))
        finally:
            shutil.rmtree(top, ignore_errors=True)


def copy_adapter(directory: Path, target: Path, manifest: Manifest) -> None:
    """The files of an adapter and nothing else, checked where they have arrived, read-only.

    Raises:
        DamagedAdapterError: they are not those of the manifest, or hold weights that are no
            numbers.
    """
    target.mkdir()
    for file_name in (WEIGHTS_FILE, CONFIG_FILE):
        shutil.copyfile(directory / file_name, target / file_name)
        sync(target / file_name)
    write(target / MANIFEST_FILE, manifest.json_text())
    check_files(target, manifest)
    if names := not_finite(target / WEIGHTS_FILE):
        raise DamagedAdapterError(
            f"{directory / WEIGHTS_FILE} holds NaN or infinite weights in {len(names)} tensors, "
            f"{names[0]} first; train again at a lower learning rate, or take an older checkpoint"
        )
    for file in target.iterdir():
        file.chmod(0o444)
    sync(target)
