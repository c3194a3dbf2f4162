"""A run's checkpoints: which are whole, which is the newest, and what is left after a failure."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

COMPLETE = "complete.json"  # the size of every other file; written when they are on the disk
_NAME = re.compile(r"checkpoint-(\d+)")


def newest(folder: Path) -> Path | None:
    """The last whole one."""
    return max(filter(_is_whole, _all(folder)), key=step_of, default=None)


def mark_complete(folder: Path, step: int) -> None:
    """Everything of this step has been written: it is forced to the disk, and its sizes noted."""
    checkpoint = folder / f"checkpoint-{step}"
    files = [file for file in sorted(checkpoint.rglob("*")) if file.is_file()]
    for file in files:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    sizes = {str(file.relative_to(checkpoint)): file.stat().st_size for file in files}
    scratch = checkpoint / f".{COMPLETE}.tmp"
    scratch.write_text(json.dumps(sizes))
    scratch.replace(checkpoint / COMPLETE)


def remove_broken(folder: Path) -> None:
    """Those that a full disk, a killed process or a lost power left half-written."""
    for each in _all(folder):
        if not _is_whole(each):
            shutil.rmtree(each)


def step_of(checkpoint: Path) -> int:
    """The number in its name."""
    return int(checkpoint.name.partition("-")[2])


def _is_whole(checkpoint: Path) -> bool:
    try:
        sizes: dict[str, int] = json.loads((checkpoint / COMPLETE).read_text())
        return all((checkpoint / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def _all(folder: Path) -> list[Path]:
    return [each for each in folder.glob("checkpoint-*") if _NAME.fullmatch(each.name)]
