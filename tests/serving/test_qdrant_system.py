"""The whole system with its passages in Qdrant instead of Edge."""

from __future__ import annotations

import re
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from retrieval.qdrant_server import connect
from retrieval.qdrant_store import QdrantStore, drop
from serving.settings import StoreKind
from tests.retrieval.engines import SERVER_URL
from tests.serving.test_assistant import DOCUMENTS, QUESTION, open_system
from tests.serving.test_cli import run
from tests.serving.test_http_chat import Served, serve
from tests.serving.test_http_documents import put

IN_MEMORY: dict[str, Any] = {"store": StoreKind.QDRANT, "qdrant_url": ":memory:"}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serve(tmp_path, **IN_MEMORY) as opened:
        yield opened


def test_answers_come_from_qdrant_with_their_sources(served: Served, tmp_path: Path) -> None:
    reply = served.ask()

    assert isinstance(served.system.store, QdrantStore)
    assert not (tmp_path / "index").exists()
    assert "60 euros" in reply["choices"][0]["message"]["content"]
    assert reply["choices"][0]["message"]["annotations"][0]["url_citation"]["title"] == "Bags"


def test_replaced_and_deleted_documents_stop_answering(served: Served) -> None:
    put(served.http, "bags.md", "# Bags\n\nA second suitcase costs 75 euros.\n")
    replaced = served.ask()["choices"][0]["message"]["content"]
    for item in served.http.get("/v1/documents").json()["data"]:
        served.http.delete(f"/v1/documents/{item['id']}").raise_for_status()

    assert "75 euros" in replaced
    assert "60 euros" not in replaced
    assert served.system.store.count() == 0


def test_lost_store_is_503_for_questions_searches_and_the_probe(served: Served) -> None:
    served.system.store.close()
    replies = [
        served.post(),
        served.http.post("/v1/search", json={"query": "suitcase"}),
        served.http.get("/readyz"),
    ]

    assert [reply.status_code for reply in replies] == [503, 503, 503]
    assert replies[0].json()["error"]["code"] == "index_unavailable"
    assert "the index cannot be read" in replies[2].json()["reason"]


@pytest.mark.parametrize("words", [("documents",), ("documents", "rebuild")])
def test_commands_with_the_server_down_say_where_and_what_to_do(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    ran = run(*words, home=tmp_path / "home", variables=variables(url))

    assert ran.status == 1
    assert re.fullmatch(rf"twofold: the index cannot be .* {url} .*; start it, or .*\n", ran.err)


@pytest.mark.skipif(SERVER_URL is None, reason="QDRANT_URL names no server")
def test_server_keeps_documents_between_commands_and_is_rebuilt(tmp_path: Path) -> None:
    home, collection = tmp_path / "home", f"twofold-test-{uuid.uuid4()}"
    server = {**variables(str(SERVER_URL)), "TWOFOLD_QDRANT_COLLECTION": collection}
    (tmp_path / "bags.md").write_text(DOCUMENTS["bags.md"])
    run("ingest", str(tmp_path / "bags.md"), home=home, variables=server)
    found = run("search", QUESTION, "--json", home=home, variables=server)
    rebuilt = run("documents", "rebuild", home=home, variables=server)
    again = run("search", QUESTION, "--json", home=home, variables=server)
    drop(connect(str(SERVER_URL)), collection)

    assert "from 1 document" in rebuilt.out
    assert found.json["data"] == again.json["data"]
    assert found.json["data"][0]["source"].endswith("bags.md")


def variables(url: str) -> dict[str, str]:
    return {"TWOFOLD_STORE": "qdrant", "TWOFOLD_QDRANT_URL": url}


def test_moving_to_qdrant_indexes_the_catalogue_anew(tmp_path: Path) -> None:
    with open_system(tmp_path):
        pass
    with open_system(tmp_path, documents={}, **IN_MEMORY) as twofold:
        assert twofold.store.count() == len(DOCUMENTS)
