"""The server as a process: how it starts, ends, is found, and what a killed one leaves behind."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest.mock import patch

import httpx
import pytest

from retrieval import ingest
from retrieval.documents import Scope
from retrieval.embedding import HashEmbedder, Vectors
from retrieval.onnx_embedder import OnnxEmbedder
from serving.cli import connection
from serving.cli.server_process import Address, serve_forever
from serving.errors import SettingsError
from serving.settings import Settings
from serving.wiring import HomeInUseError, open_twofold
from starter import bundle
from tests.conftest import ROOT, ServerProcess, environment, start_server
from tests.serving.test_assistant import DOCUMENTS, SwitchableEmbedder, open_system
from tests.serving.test_cli import run, served

KEY = "a-key-for-the-tests"
ENDS_WITHIN_S = 15


@contextlib.contextmanager
def server(home: Path, models_dir: Path, **settings: str) -> Iterator[ServerProcess]:
    """`twofold serve` without the starter documents; killed when the test hasn't ended it."""
    variables = environment(home, models_dir, starter_documents="false", **settings)
    process = start_server(home, variables)
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.process.kill()
        process.process.wait(ENDS_WITHIN_S)
        if process.process.stderr is not None:
            process.process.stderr.close()


def twofold(home: Path, models_dir: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command as another process."""
    return subprocess.run(
        [sys.executable, "-m", "serving.cli.main", *words],
        env=environment(home, models_dir, starter_documents="false"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def add_documents(client: httpx.Client) -> None:
    files = [("file", (name, text.encode())) for name, text in DOCUMENTS.items()]
    client.post("/v1/documents", files=files).raise_for_status()


@pytest.mark.parametrize(
    "sent",
    [
        signal.SIGINT,
        pytest.param(
            signal.SIGTERM,
        ),
    ],
)
def test_server_that_is_told_to_end_cleans_up(
    tmp_path: Path, models_dir: Path, sent: signal.Signals
) -> None:
    with server(tmp_path, models_dir) as running:
        found = Address.read(tmp_path)
        running.process.send_signal(sent)
        running.process.wait(ENDS_WITHIN_S)

    assert found is not None
    assert not (tmp_path / "server.json").exists()


@pytest.mark.slow
def test_killed_server_costs_the_next_commands_and_server_nothing(
    tmp_path: Path, models_dir: Path
) -> None:
    with server(tmp_path, models_dir) as running:
        with running.client as client:
            add_documents(client)
        running.process.kill()
        running.process.wait(ENDS_WITHIN_S)
    stale = (tmp_path / "server.json").is_file()
    found = twofold(tmp_path, models_dir, "search", "second suitcase", "--json")
    with server(tmp_path, models_dir) as running, running.client as client:
        listed = client.get("/v1/documents").json()["data"]
        ready = client.get("/readyz").json()

    assert stale
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["data"][0]["source"] == "bags.md"
    assert {item["source"] for item in listed} == DOCUMENTS.keys()
    assert all(item["generation"] == 1 for item in listed)
    assert (ready["documents"], ready["passages"]) == (3, 3)


def test_server_file_is_the_owners_alone(tmp_path: Path) -> None:
    Address("http://127.0.0.1:1", "token", 5).write(tmp_path)

    assert stat.S_IMODE((tmp_path / "server.json").stat().st_mode) == 0o600
    assert Address.read(tmp_path) == Address("http://127.0.0.1:1", "token", 5)
    assert [path.name for path in tmp_path.iterdir()] == ["server.json"]


def test_second_server_on_a_home_is_refused_with_the_first_ones_process(tmp_path: Path) -> None:
    with served(tmp_path):
        ran = run("serve", "--port", "0", home=tmp_path)

    assert ran.status == 1
    assert f"process {os.getpid()}" in ran.err
    assert "TWOFOLD_HOME" in ran.err


def test_port_in_use_is_refused_with_the_option(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = run("serve", "--port", str(taken.getsockname()[1]), home=tmp_path)

    assert ran.status == 1
    assert "--port" in ran.err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_listening_to_other_machines_without_keys_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(SettingsError, match="TWOFOLD_KEYS"):
        serve_forever(Settings(home=tmp_path, host=host, port=0), lambda *_: None)
    assert list(tmp_path.iterdir()) == []


def test_listening_to_other_machines_with_keys_asks_for_them(
    tmp_path: Path, models_dir: Path
) -> None:
    keys = json.dumps([{"key": KEY}])
    with server(tmp_path, models_dir, host="0.0.0.0", keys=keys) as running:
        stranger = httpx.get(f"{running.url}/v1/documents", trust_env=False)
        known = httpx.get(
            f"{running.url}/v1/documents",
            headers={"Authorization": f"Bearer {KEY}"},
            trust_env=False,
        )
        ran = twofold(tmp_path, models_dir, "documents", "--json")

    assert running.url.startswith("http://127.0.0.1:")
    assert (stranger.status_code, known.status_code) == (401, 200)
    assert json.loads(ran.stdout)["data"] == []  # this machine's commands have a token


def test_command_waits_while_another_has_the_home(tmp_path: Path) -> None:
    with open_system(tmp_path):
        pass
    with (tmp_path / "lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        threading.Timer(0.7, fcntl.flock, (lock, fcntl.LOCK_UN)).start()
        started = time.monotonic()
        ran = run("documents", "--json", home=tmp_path)
        waited = time.monotonic() - started

    assert ran.status == 0
    assert len(ran.json["data"]) == len(DOCUMENTS)
    assert waited > 0.5


def test_command_that_waited_long_enough_names_the_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "WAIT_FOR_HOME_S", 0.3)
    with open_system(tmp_path):
        ran = run("documents", home=tmp_path)

    assert ran.status == 1
    assert f"process {os.getpid()}" in ran.err


def test_home_is_free_again_after_a_failed_start(tmp_path: Path) -> None:
    broken = Settings(home=tmp_path, router_head=tmp_path / "nowhere.safetensors")
    embedder = SwitchableEmbedder()
    with (
        patch("serving.wiring.build_embedder", return_value=embedder),
        pytest.raises(SettingsError, match=r"nowhere\.safetensors"),
        open_twofold(broken),
    ):
        pass

    with open_system(tmp_path, embedder=embedder) as twofold:
        assert twofold.catalogue.count() == len(DOCUMENTS)


def test_home_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    with open_system(tmp_path), pytest.raises(HomeInUseError), open_system(tmp_path):
        pass


def test_restart_opens_within_two_seconds(tmp_path: Path, models_dir: Path) -> None:
    settings = Settings(home=tmp_path, models_dir=models_dir)
    with open_system(
        tmp_path,
        embedder=OnnxEmbedder.bundled(models_dir, adapter_dir=bundle.EMBEDDER_ADAPTER),
    ):
        pass
    started = time.monotonic()
    with open_twofold(settings) as twofold:
        opened = time.monotonic() - started
        count = twofold.store.count()

    assert count == len(DOCUMENTS)
    assert opened < 2


@pytest.fixture
def starter_documents(tmp_path: Path) -> Iterator[set[str]]:
    """Three documents in the bundle's place; gives their sources."""
    folder = tmp_path / "bundle"
    sources = {"policies/a.md", "policies/b.md", "notices/c.md"}
    for source in sources:
        (folder / source).parent.mkdir(parents=True, exist_ok=True)
        (folder / source).write_text(f"# {source}\n\nThe text of {source}.\n")
    with patch.object(bundle, "DOCUMENTS", folder):
        yield sources


def test_starter_documents_come_once_and_stay_away_when_deleted(
    tmp_path: Path, starter_documents: set[str]
) -> None:
    home, embedder = tmp_path / "home", SwitchableEmbedder()
    with open_system(home, embedder=embedder, documents={}, starter_documents=True) as twofold:
        first = twofold.catalogue.live(Scope())
        twofold.ingestor.delete(first[0].id, Scope())
    embedded = embedder.embedded
    with open_system(home, embedder=embedder, documents={}, starter_documents=True) as twofold:
        second = twofold.catalogue.live(Scope())

    assert {document.source for document in first} == starter_documents
    assert {document.collection for document in first} == {"policies", "notices"}
    assert {document.source for document in second} == starter_documents - {first[0].source}
    assert embedder.embedded == embedded


def test_starter_documents_that_were_interrupted_go_on(
    tmp_path: Path, starter_documents: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "WINDOW_CHARS", 1)  # one document after the other

    class Interrupted(HashEmbedder):
        documents = 0

        def embed(self, texts: Sequence[str]) -> Vectors:
            self.documents += 1
            if self.documents == 2:
                raise KeyboardInterrupt
            return super().embed(texts)

    home = tmp_path / "home"
    with (
        pytest.raises(KeyboardInterrupt),
        open_system(home, embedder=Interrupted(), documents={}, starter_documents=True),
    ):
        pass
    with open_system(home, documents={}, starter_documents=True) as twofold:
        sources = {document.source for document in twofold.catalogue.live(Scope())}

    assert sources == starter_documents


def test_starter_documents_stay_away_from_a_home_with_documents(tmp_path: Path) -> None:
    with open_system(tmp_path):
        pass
    with open_system(tmp_path, documents={}, starter_documents=True) as twofold:
        assert twofold.catalogue.count() == len(DOCUMENTS)


@pytest.mark.slow
def test_server_that_is_killed_while_it_indexes_goes_on_the_next_time(
    tmp_path: Path, models_dir: Path
) -> None:
    variables = environment(tmp_path, models_dir)
    command = [sys.executable, "-m", "serving.cli.main", "serve", "--port", "0"]
    with subprocess.Popen(command, env=variables, cwd=ROOT, stderr=subprocess.DEVNULL) as first:
        mark = tmp_path / "starter-documents"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not mark.exists():
            time.sleep(0.05)
        time.sleep(1)
        first.kill()
    interrupted = mark.read_text()
    running = start_server(tmp_path, variables)
    try:
        with running.client as client:
            count = len(client.get("/v1/documents").json()["data"])
    finally:
        running.process.kill()
        running.process.wait(ENDS_WITHIN_S)
        if running.process.stderr is not None:
            running.process.stderr.close()

    assert interrupted == "adding"
    assert count == sum(1 for _ in bundle.DOCUMENTS.rglob("*.*"))
