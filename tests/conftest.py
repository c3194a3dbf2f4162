"""What many tests only look at: a real server over the starter documents, and a tiny model."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from finetune.manifest import Base
from serving.cli.server_process import Address

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A `twofold serve` that runs."""

    url: str
    token: str
    home: Path
    process: subprocess.Popen[str]

    @property
    def client(self) -> httpx.Client:
        """A client that this machine's commands would use."""
        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=60,
            trust_env=False,
        )


def environment(home: Path, models_dir: Path, **settings: str) -> dict[str, str]:
    """This process's environment with only the given TWOFOLD_ settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TWOFOLD_")}
    return {
        **kept,
        "TWOFOLD_HOME": str(home),
        "TWOFOLD_MODELS_DIR": str(models_dir),
        **{f"TWOFOLD_{name.upper()}": value for name, value in settings.items()},
    }


def start_server(home: Path, variables: Mapping[str, str]) -> ServerProcess:
    """Run `twofold serve` on a free port and wait until it is ready."""
    command = [sys.executable, "-m", "serving.cli.main", "serve", "--port", "0"]
    log = home / "stderr.txt"
    with log.open("w") as stderr:
        process = subprocess.Popen(command, env=dict(variables), cwd=ROOT, stderr=stderr, text=True)
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        address = Address.read(home)
        if process.poll() is not None:
            raise AssertionError(f"the server ended: {log.read_text()}")
        if address is not None and address.pid == process.pid:
            try:
                httpx.get(f"{address.url}/readyz", timeout=5, trust_env=False).raise_for_status()
            except httpx.HTTPError:
                time.sleep(0.1)
                continue
            return ServerProcess(address.url, address.token, home, process)
        time.sleep(0.1)
    process.kill()
    process.wait()
    raise AssertionError(f"the server was not ready within {START_TIMEOUT_S} s")


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """Where the embedder's export lies; `make` puts it into the checkout."""
    return Path(os.environ.get("TWOFOLD_MODELS_DIR", ROOT / ".cache" / "models"))


@pytest.fixture(scope="session")
def running_server(
    tmp_path_factory: pytest.TempPathFactory, models_dir: Path
) -> Iterator[ServerProcess]:
    """The starter profile, its documents indexed."""
    home = tmp_path_factory.mktemp("home")
    server = start_server(home, environment(home, models_dir))
    yield server
    server.process.terminate()
    server.process.wait(timeout=20)


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base/ and lora/, an adapter for it; never changed."""
    from tests.finetune.saved_adapters import save_adapter
    from tests.finetune.tiny_model import save_tiny_model

    folder = tmp_path_factory.mktemp("models")
    save_adapter(folder / "lora", save_tiny_model(folder / "base", hidden=32))
    return folder


@pytest.fixture(scope="session")
def tiny_base(tiny_models: Path) -> Base:
    """What tells the tiny model from others."""
    from finetune.base_identity import read_base

    return read_base(str(tiny_models / "base"))
