"""`twofold adapters`: what people type, what they read, and what programs read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finetune.adapters import AdapterRegistry
from finetune.configuration import Method
from finetune.manifest import CONFIG_FILE, Base, Provenance, State, describe
from serving.cli.main import main
from tests.finetune.saved_adapters import RENAMED
from tests.finetune.tiny_model import save_tiny_model

pytest.importorskip("torch")
pytest.importorskip("peft")

pytestmark = pytest.mark.filterwarnings(RENAMED)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AdapterRegistry:
    """That of an empty home."""
    monkeypatch.setenv("TWOFOLD_HOME", str(tmp_path / "home"))
    return AdapterRegistry(tmp_path / "home" / "adapters")


@pytest.fixture
def two(registry: AdapterRegistry, tiny_models: Path, tiny_base: Base) -> AdapterRegistry:
    """skylark@1, live, and skylark@2."""
    provenance = Provenance(
        data_licence="CC-BY-4.0 [own]",
        training={"rank": 4, "max_steps": None},
        metrics={"validation_loss": 1.5049097061157227, "tokens": 3840.0},
    )
    for _ in range(2):
        manifest = describe(
            tiny_models / "lora",
            tiny_base,
            name="skylark",
            method=Method.QLORA,
            provenance=provenance,
        )
        registry.add(tiny_models / "lora", manifest)
    registry.set_state("skylark", 1, State.LIVE)
    return registry


def run(*words: str | Path) -> int:
    return main(["adapters", *map(str, words)])


def lines(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_no_adapters_says_how_to_get_one(
    registry: AdapterRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    assert "No adapters yet. Train one with `twofold train --config FILE`" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize("words", [[], ["list"], ["--profile", "starter", "list"]])
def test_list_shows_every_version_and_its_state(
    two: AdapterRegistry, tiny_models: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert run(*words) == 0
    heading, first, second, total = lines(capsys)

    assert heading == ["adapter", "state", "method", "base", "created"]
    assert first[:4] == ["skylark@1", "live", "qlora", str(tiny_models / "base")]
    assert second[:2] == ["skylark@2", "candidate"]
    assert total == ["2", "versions"]


def test_list_of_one_version_counts_it(
    two: AdapterRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    two.remove("skylark", 2)

    assert run() == 0
    assert lines(capsys)[-1] == ["1", "version"]


def test_list_as_json_has_the_present_state(
    two: AdapterRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)

    assert [(item["version"], item["state"]) for item in listed] == [(1, "live"), (2, "candidate")]
    assert listed[0]["directory"] == str(two.folder / "skylark" / "1")


def test_show_prints_the_manifest_of_the_live_version(
    two: AdapterRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("show", "skylark") == 0
    out = capsys.readouterr().out

    assert "CC-BY-4.0 [own]" in out
    assert "validation_loss 1.505, tokens 3,840\n" in out
    assert "training               rank 4\n" in out
    assert "whole, as the manifest says" in out
    assert run("show", "skylark@2", "--json") == 0
    assert json.loads(capsys.readouterr().out)["version"] == 2


def test_show_of_damaged_files_fails(
    two: AdapterRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    path = two.folder / "skylark" / "2" / CONFIG_FILE
    path.chmod(0o644)
    path.write_text("{}")

    assert run("show", "skylark@2") == 1
    assert f"{CONFIG_FILE} has changed" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["show", "promote"])
def test_missing_adapter_is_named(
    two: AdapterRegistry, capsys: pytest.CaptureFixture[str], action: str
) -> None:
    assert run(action, "northwind@1") == 1
    assert "no adapter 'northwind'" in capsys.readouterr().err


def test_import_adds_a_candidate(
    registry: AdapterRegistry, tiny_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str | Path] = [
        "--name",
        "skylark",
        "--base",
        tiny_models / "base",
        "--licence",
        "CC0-1.0",
    ]

    assert run("import", tiny_models / "lora", *asked) == 0
    assert "Added skylark@1, a candidate." in capsys.readouterr().out
    assert registry.get("skylark", 1).manifest.data_licence == "CC0-1.0"


def test_import_under_an_impossible_name_is_refused(
    registry: AdapterRegistry, tiny_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str | Path] = [
        "--name",
        "Sky Lark",
        "--base",
        tiny_models / "base",
        "--licence",
        "CC0-1.0",
    ]

    assert run("import", tiny_models / "lora", *asked) == 1
    assert "'Sky Lark' is no name for an adapter" in capsys.readouterr().err


def test_promote_retires_the_version_before(
    two: AdapterRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("promote", "skylark@2") == 0
    assert capsys.readouterr().out.strip() == "skylark@2 is live. skylark@1 is retired."
    assert [version.state for version in two.versions()] == [State.RETIRED, State.LIVE]


def test_promote_of_damaged_files_changes_nothing(
    two: AdapterRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    (two.folder / "skylark" / "2" / "adapter_model.bin").write_bytes(b"")

    assert run("promote", "skylark@2") == 1
    assert "adapter_model.bin: pickles can run code" in capsys.readouterr().err
    assert two.get("skylark").version == 1


def test_retire_leaves_no_live_version(
    two: AdapterRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("retire", "skylark@1") == 0
    assert "skylark@1 is retired" in capsys.readouterr().out
    assert run("retire", "skylark@2") == 1
    assert "is candidate and cannot become retired" in capsys.readouterr().err


def test_remove_of_the_live_version_needs_force(
    two: AdapterRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("remove", "skylark@1") == 1
    assert "is live" in capsys.readouterr().err
    assert run("remove", "skylark@1", "--force") == 0
    assert "Removed skylark@1" in capsys.readouterr().out
    assert [version.version for version in two.versions()] == [2]


def test_merge_writes_a_model_and_says_only_how_well_it_agrees(
    two: AdapterRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("merge", "skylark", "--to", tmp_path / "merged") == 0
    said = capsys.readouterr()
    assert "holds skylark@1 merged into" in said.out
    assert said.err == ""
    assert (tmp_path / "merged" / "model.safetensors").is_file()


def test_merge_takes_the_base_from_another_place(
    two: AdapterRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = save_tiny_model(tmp_path / "other", hidden=32, seed=2)

    assert run("merge", "skylark", "--to", tmp_path / "merged", "--base", other) == 1
    assert "does not fit the base" in capsys.readouterr().err
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["polish"], "invalid choice: 'polish'"),
        (["show"], "required: NAME[@VERSION]"),
        (["show", "skylark@new"], "'skylark@new' is not NAME@VERSION"),
        (["show", "skylark@0"], "'skylark@0' is not NAME@VERSION"),
        (["remove", "skylark"], "'skylark' names no version"),
        (["import", "folder"], "required: --name, --base, --licence"),
        (["merge", "skylark"], "required: --to"),
        (["merge", "skylark", "--to", "x", "--dtype", "nf4"], "invalid choice: 'nf4'"),
    ],
)
def test_wrong_usage_is_told(
    capsys: pytest.CaptureFixture[str], words: list[str], problem: str
) -> None:
    with pytest.raises(SystemExit) as raised:
        run(*words)

    assert raised.value.code == 2
    assert problem in capsys.readouterr().err
