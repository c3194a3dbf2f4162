"""Files replaced whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from finetune import durable_files
from finetune.durable_files import replace


def test_replace_makes_a_file_and_changes_it(tmp_path: Path) -> None:
    for text in ("one", "zwei: ä"):
        replace(tmp_path / "states.json", text)

        assert (tmp_path / "states.json").read_text(encoding="utf-8") == text
    assert [path.name for path in tmp_path.iterdir()] == ["states.json"]


def test_replace_on_a_full_disk_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(tmp_path / "states.json", "whole")

    def full(path: Path, text: str) -> None:
        path.write_text(text[:1])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(durable_files, "write", full)
    with pytest.raises(OSError, match="No space left"):
        replace(tmp_path / "states.json", "other")
    assert [path.name for path in tmp_path.iterdir()] == ["states.json"]
    assert (tmp_path / "states.json").read_text() == "whole"
