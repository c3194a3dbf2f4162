"""Files that are on the disk, and not only on their way, when a call returns."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, text: str) -> None:
    """The whole file. Its name in the folder is on the disk only after `sync` of the folder."""
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def replace(path: Path, text: str) -> None:
    """Write a file that appears, or changes, whole or not at all, even if power fails."""
    scratch = path.with_name(f".{path.name}.tmp")
    try:
        write(scratch, text)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
