from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from finetune.errors import ConfigurationError, ExamplesError
from finetune.examples import Example
from serving.cli import train_check
from tests.finetune.answer_sets import from_answers, varied


def write(path: Path, examples: list[Example]) -> Path:
    rows = [{"input": each.messages[0].content, "output": each.answer} for each in examples]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def run(*words: str | Path) -> int:
    parser = argparse.ArgumentParser()
    train_check.add_arguments(parser)
    return train_check.run(parser.parse_args([str(word) for word in words]))


def test_check_of_enough_clean_examples_succeeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(write(tmp_path / "train.jsonl", varied(100))) == 0
    said = capsys.readouterr().out
    assert "100 examples: possible" in said
    assert "no problems found" in said
    assert "an estimate by words" in said
    assert "to be answered by you" in said


def test_check_of_forty_two_examples_fails_with_advice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(write(tmp_path / "train.jsonl", varied(42))) == 1
    assert "use retrieval and few-shot prompting, or collect more" in capsys.readouterr().out


def test_check_of_facts_fails_and_lists_the_first_rows_as_they_stand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = varied(100) + from_answers(["See [bold] policy 7."] * 11)
    assert run(write(tmp_path / "train.jsonl", examples)) == 1
    said = capsys.readouterr().out
    assert "row 101: policy or article number: policy 7" in said
    assert "and 3 more; --html FILE or --json FILE lists all" in said


def test_check_prints_square_brackets_of_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = varied(30) + from_answers(["See it in [red]"])
    run(write(tmp_path / "train.jsonl", examples))
    assert "ends “…See it in [red]”" in capsys.readouterr().out


def test_check_writes_both_reports(tmp_path: Path) -> None:
    path = write(tmp_path / "train.jsonl", varied(20))
    run(path, "--html", tmp_path / "r.html", "--json", tmp_path / "r.json", "--max-tokens", "30")
    read = json.loads((tmp_path / "r.json").read_text())
    assert read["lengths"]["max_tokens"] == 30
    assert read["problems"][0]["kind"] == "examples longer than the context"
    assert "train.jsonl" in (tmp_path / "r.html").read_text()


def test_check_with_validation_and_answers_uses_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = varied(100)
    answers = tmp_path / "answers.toml"
    answers.write_text('behaviour = { yes = true, because = "Calm letters." }')
    status = run(
        write(tmp_path / "train.jsonl", examples),
        "--validation",
        write(tmp_path / "held.jsonl", examples[:1]),
        "--answers",
        answers,
    )
    assert status == 1
    said = capsys.readouterr().out
    assert "row 1: asks what row 1 of the validation file asks" in said
    assert "you: Calm letters." in said


def test_check_with_unknown_answers_fails_before_the_examples_are_read(tmp_path: Path) -> None:
    answers = tmp_path / "answers.toml"
    answers.write_text("speed = true")
    with pytest.raises(ConfigurationError, match="speed: no such question"):
        run(tmp_path / "none.jsonl", "--answers", answers)


def test_check_of_bad_rows_tells_them(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"input": "a"}')
    with pytest.raises(ExamplesError, match="line 1: no `output`"):
        run(path)


def test_check_of_a_context_of_nothing_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        run(tmp_path / "train.jsonl", "--max-tokens", "0")
