"""What may stand in an adapter's manifest, and what is said about one that cannot be read."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from finetune.configuration import Method
from finetune.errors import AdapterError
from finetune.manifest import (
    CONFIG_FILE,
    MANIFEST_FILE,
    WEIGHTS_FILE,
    Base,
    Manifest,
    Provenance,
    State,
    check_name,
    describe,
    file_sha256,
)

BASE = Base(
    name="Qwen/Qwen3-8B",
    revision="f" * 40,
    config_sha256="a" * 64,
    weights_sha256="b" * 64,
    tokenizer_sha256="c" * 64,
    chat_template_sha256="d" * 64,
    shapes={},
)
PROVENANCE = Provenance(
    data_licence="CC-BY-4.0",
    data_sha256="e" * 64,
    training={"r": 16, "targets": ["q_proj", "v_proj"]},
    metrics={"validation_loss": 1.25},
    git_commit="0" * 40,
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / WEIGHTS_FILE).write_bytes(b"weights")
    (tmp_path / CONFIG_FILE).write_bytes(b"{}")
    return tmp_path


def described(directory: Path, provenance: Provenance = PROVENANCE) -> Manifest:
    return describe(directory, BASE, name="skylark", method=Method.QLORA, provenance=provenance)


def written(directory: Path, **changes: Any) -> Path:
    """The manifest with some values replaced, as a file."""
    facts = json.loads(described(directory).json_text()) | changes
    (directory / MANIFEST_FILE).write_text(json.dumps(facts))
    return directory


def test_manifest_comes_back_from_its_file(directory: Path) -> None:
    manifest = described(directory)
    (directory / MANIFEST_FILE).write_text(manifest.json_text())

    assert Manifest.read(directory) == manifest


def test_manifest_holds_the_facts_of_base_files_and_data(directory: Path) -> None:
    manifest = described(directory)

    assert manifest.base_model == BASE.name
    assert manifest.base_revision == BASE.revision
    assert manifest.base_config_sha256 == BASE.config_sha256
    assert manifest.base_weights_sha256 == BASE.weights_sha256
    assert manifest.tokenizer_sha256 == BASE.tokenizer_sha256
    assert manifest.chat_template_sha256 == BASE.chat_template_sha256
    assert manifest.adapter_model_sha256 == hashlib.sha256(b"weights").hexdigest()
    assert manifest.adapter_config_sha256 == hashlib.sha256(b"{}").hexdigest()
    assert manifest.data_sha256 == PROVENANCE.data_sha256
    assert manifest.training == PROVENANCE.training
    assert manifest.state is State.CANDIDATE


def test_moment_is_kept_in_utc(directory: Path) -> None:
    elsewhere = datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    manifest = Manifest.read(written(directory, created_at=elsewhere.isoformat()))

    assert manifest.created_at.tzinfo == UTC
    assert manifest.created_at.isoformat() == "2026-02-28T23:30:00+00:00"


def test_manifest_is_frozen(directory: Path) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        described(directory).state = State.LIVE


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"colour": "blue"}, "colour: Extra inputs"),
        ({"format_version": 2}, "format_version"),
        ({"version": 0}, "version: Input should be greater"),
        ({"name": "../skylark"}, "name: String should match"),
        ({"method": "full"}, "method: Value error, full makes a model, not an adapter"),
        ({"method": "ia3"}, "method: Input should be 'qlora', 'lora'"),
        ({"state": "asleep"}, "state: Input should be 'candidate', 'live' or 'retired'"),
        ({"adapter_model_sha256": "abc"}, "adapter_model_sha256: String should match"),
        ({"data_licence": ""}, "data_licence: String should have at least 1"),
        ({"created_at": "2026-03-01T00:00:00"}, "created_at: Input should have timezone"),
        ({"metrics": {"loss": float("nan")}}, "metrics.loss: Input should be a finite number"),
    ],
)
def test_wrong_fact_is_named(directory: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(AdapterError, match="is no manifest of format 1") as raised:
        Manifest.read(written(directory, **changes))

    assert problem in str(raised.value)


def test_missing_manifest_says_how_to_import(directory: Path) -> None:
    with pytest.raises(AdapterError, match=r"holds no manifest.json.*twofold adapters import DIR"):
        Manifest.read(directory)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]"])
def test_file_that_is_no_manifest_is_named(directory: Path, content: bytes) -> None:
    (directory / MANIFEST_FILE).write_bytes(content)

    with pytest.raises(AdapterError, match=r"manifest.json is no manifest of format 1"):
        Manifest.read(directory)


def test_all_wrong_facts_of_a_run_are_listed_at_once(directory: Path) -> None:
    wrong = Provenance(data_licence=" ", data_sha256="x", metrics={"loss": float("inf")})

    with pytest.raises(AdapterError, match="'skylark' cannot be described") as raised:
        described(directory, wrong)
    for name in ("data_licence", "data_sha256", "metrics.loss"):
        assert f"{name}: " in str(raised.value)


@pytest.mark.parametrize("file_name", [WEIGHTS_FILE, CONFIG_FILE])
def test_missing_file_is_named(directory: Path, file_name: str) -> None:
    (directory / file_name).unlink()

    with pytest.raises(AdapterError, match=f"holds no {file_name}"):
        described(directory)


@pytest.mark.parametrize("name", ["a", "9", "skylark", "sky-lark-2", "a" * 63])
def test_name_that_can_be_a_folder_is_taken(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name", ["", "-a", "Sky", "a_b", "a/b", "..", "a.b", "a\n", "é", "a" * 64, "a@1", "a b"]
)
def test_other_name_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(AdapterError, match="1 to 63 of a-z, 0-9 and -"):
        check_name(name)


def test_file_sha256_is_that_of_sha256sum(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")

    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2
    assert file_sha256(tmp_path / "file") == expected
