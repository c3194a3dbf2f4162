"""The memory of the server itself, after questions that came over HTTP."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.bench.layout import Layout
from eval.bench.memory import Memory
from eval.corpus_index import Track
from eval.errors import EvaluationError

START_TIMEOUT_S = 300
STOP_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class ServerMemory:
    """What the server held when it was ready, and after so many questions."""

    passages: int
    questions: int
    at_start: Memory
    after: Memory

    def record(self) -> dict[str, Any]:
        """For a result file."""
        return {
            "passages": self.passages,
            "questions": self.questions,
            "at_start": self.at_start.record(),
            "after": self.after.record(),
        }


def server_memory(
    home: Path,
    questions: Sequence[str],
    *,
    size: int,
    layout: Layout,
    profile: str,
    track: Track,
) -> ServerMemory:
    """Start `twofold serve` on a filled folder and search, each question in a scope of its own.

    Raises:
        EvaluationError: the server did not start, or failed on a question.
    """
    import httpx

    scopes = [layout.scope(number) for number in range(len(questions))]
    keys = {scope: secrets.token_hex(16) for scope in dict.fromkeys(scopes)}
    listed = [
        {"key": key, "tenant": scope.tenant, "groups": scope.groups} for scope, key in keys.items()
    ]
    variables = {
        "TWOFOLD_HOME": str(home),
        "TWOFOLD_STARTER_DOCUMENTS": "false",
        "TWOFOLD_KEYS": json.dumps(listed),
    }
    with (
        _serving(home, profile, variables) as (url, pid),
        httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
    ):
        at_start = _memory(pid)
        asked = list(zip(questions, scopes, strict=True))
        for question, scope in track(asked, description="Asking the server"):
            reply = client.post(
                "/v1/search",
                json={"query": question},
                headers={"Authorization": f"Bearer {keys[scope]}"},
            )
            if reply.is_error:
                raise EvaluationError(f"the server failed on {question!r}: {reply.text}")
        return ServerMemory(size, len(asked), at_start, _memory(pid))


@contextmanager
def _serving(home: Path, profile: str, variables: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Address and process id of a server that is ready."""
    import httpx

    from serving.cli.server_process import Address

    command = [sys.executable, "-m", "serving.cli.main", "serve", "--port", "0"]
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(
            [*command, "--profile", profile],
            env={**os.environ, **variables},
            stdout=log,
            stderr=log,
        )
        try:
            ends = time.monotonic() + START_TIMEOUT_S
            while True:
                address = Address.read(home)
                if address and address.pid == server.pid and _ready(httpx, address.url):
                    break
                if server.poll() is not None or time.monotonic() > ends:
                    log.seek(0)
                    raise EvaluationError(f"the server did not start:\n{log.read()[-2000:]}")
                time.sleep(0.2)
            yield address.url, server.pid
        finally:
            server.terminate()
            try:
                server.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _ready(httpx: Any, url: str) -> bool:
    try:
        return bool(httpx.get(f"{url}/readyz", timeout=30, trust_env=False).is_success)
    except httpx.HTTPError:
        return False


def _memory(pid: int) -> Memory:
    found = Memory.of(pid)
    if found is None:
        raise EvaluationError("this system does not say how much memory a process holds")
    return found
