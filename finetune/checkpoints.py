"""A run's checkpoints: which are whole, which is the newest, and what is left after a failure."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

COMPLETE = "complete"  # a file that says that all others are in the folder beside it
_NAME = re.compile(r"checkpoint-(\d+)")


def newest(folder: Path) -> Path | None:
    """The last whole one."""
    whole = [each for each in _all(folder) if (each / COMPLETE).is_file()]
    return max(whole, key=_step, default=None)


def mark_complete(folder: Path, step: int) -> None:
    """Everything of this step has been written."""
    (folder / f"checkpoint-{step}" / COMPLETE).touch()


def remove_broken(folder: Path) -> None:
    """Those that a full disk or a killed process left half-written."""
    for each in _all(folder):
        if not (each / COMPLETE).is_file():
            shutil.rmtree(each)


def _all(folder: Path) -> list[Path]:
    return [each for each in folder.glob("checkpoint-*") if _NAME.fullmatch(each.name)]


def _step(folder: Path) -> int:
    return int(folder.name.partition("-")[2])
