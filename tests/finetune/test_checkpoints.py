"""Which checkpoints count."""

from __future__ import annotations

from pathlib import Path

from finetune.checkpoints import mark_complete, newest, remove_broken


def made(folder: Path, *steps: int) -> None:
    for step in steps:
        (folder / f"checkpoint-{step}").mkdir(parents=True)
        (folder / f"checkpoint-{step}" / "weights").touch()


def test_newest_is_the_last_whole_one_by_number(tmp_path: Path) -> None:
    made(tmp_path, 9, 10, 11)
    for step in (9, 10):
        mark_complete(tmp_path, step)

    assert newest(tmp_path) == tmp_path / "checkpoint-10"


def test_nothing_whole_is_none(tmp_path: Path) -> None:
    made(tmp_path, 1)

    assert newest(tmp_path) is None
    assert newest(tmp_path / "nowhere") is None


def test_half_written_ones_are_removed_and_whole_ones_stay(tmp_path: Path) -> None:
    made(tmp_path, 1, 2)
    mark_complete(tmp_path, 1)
    (tmp_path / "checkpoint-notes").mkdir()
    remove_broken(tmp_path)

    assert sorted(each.name for each in tmp_path.iterdir()) == ["checkpoint-1", "checkpoint-notes"]


def test_checkpoint_whose_file_was_cut_off_is_not_whole(tmp_path: Path) -> None:
    made(tmp_path, 1, 2)
    for step in (1, 2):
        (tmp_path / f"checkpoint-{step}" / "weights").write_bytes(b"1234")
        mark_complete(tmp_path, step)
    (tmp_path / "checkpoint-2" / "weights").write_bytes(b"12")

    assert newest(tmp_path) == tmp_path / "checkpoint-1"
    remove_broken(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["checkpoint-1"]
