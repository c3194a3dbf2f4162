"""What is the Qdrant store's alone: reaching a server, and the collection it makes there."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from qdrant_client import models

from retrieval.errors import StoreError
from retrieval.points import IndexManifest
from retrieval.qdrant_server import IN_MEMORY, connect
from retrieval.qdrant_store import COLLECTION, QdrantStore, describe, drop
from tests.retrieval.engines import INDEX, SERVER_URL, QdrantServer, bm25, names, put

needs_server = pytest.mark.skipif(SERVER_URL is None, reason="QDRANT_URL names no server")


# A server that is down, or answers what it should not.


@pytest.fixture
def dead_url() -> str:
    """Nothing listens there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def answering(status: int, body: object) -> Iterator[str]:
    """The url of something that gives every request the same answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_open_with_the_server_down_names_the_url_and_the_remedy(dead_url: str) -> None:
    with pytest.raises(StoreError, match=r"cannot be opened.*start it.*qdrant_url") as raised:
        QdrantStore(connect(dead_url), INDEX)
    assert dead_url in str(raised.value)


def test_open_with_a_refused_key_names_the_setting() -> None:
    with (
        answering(401, {"status": {"error": "unauthorized"}}) as url,
        pytest.raises(StoreError, match=r"refuses the key.*qdrant_api_key"),
    ):
        QdrantStore(connect(url), INDEX)


def test_open_of_an_old_server_says_which_version_is_needed() -> None:
    with (
        answering(200, {"title": "qdrant", "version": "1.18.2"}) as url,
        pytest.raises(StoreError, match=r"version 1\.18\.2; Twofold needs 1\.19 or newer"),
    ):
        QdrantStore(connect(url), INDEX)


@pytest.mark.parametrize("body", [{"hello": "world"}, {"title": "x", "version": "latest"}])
def test_open_of_something_else_is_a_store_error(body: object) -> None:
    with answering(200, body) as url, pytest.raises(StoreError, match="cannot be opened") as raised:
        QdrantStore(connect(url), INDEX)
    assert url in str(raised.value)


def test_key_never_shows_in_an_error(dead_url: str) -> None:
    with (
        pytest.warns(UserWarning, match="insecure connection"),
        pytest.raises(StoreError) as raised,
    ):
        QdrantStore(connect(dead_url, api_key="hunter2"), INDEX)
    assert "hunter2" not in str(raised.value)


# The collection.


def test_open_writes_its_manifest_into_the_collection() -> None:
    client = connect(IN_MEMORY)
    QdrantStore(client, INDEX)
    metadata = client.get_collection(COLLECTION).config.metadata
    stored = {"embedder": "hash", "dimension": 64, "language": "english", "avg_len": 5.0}
    assert metadata == {"twofold": stored}


def test_collection_of_somebody_else_is_neither_opened_nor_dropped() -> None:
    client = connect(IN_MEMORY)
    theirs = models.VectorParams(size=3, distance=models.Distance.DOT)
    client.create_collection(COLLECTION, vectors_config=theirs)
    with pytest.raises(StoreError, match=r"not made by Twofold.*qdrant_collection"):
        QdrantStore(client, INDEX)
    with pytest.raises(StoreError, match="not made by Twofold"):
        drop(client)
    assert client.collection_exists(COLLECTION)


def test_stores_of_two_collections_share_nothing() -> None:
    client = connect(IN_MEMORY)
    one, other = (QdrantStore(client, INDEX, collection=name) for name in ("one", "other"))
    put(one, "hold", "dogs fly in the hold")
    assert names(bm25(one, "dogs")) == ["hold"]
    assert bm25(other, "dogs") == []


def test_drop_makes_room_for_another_manifest() -> None:
    client = connect(IN_MEMORY)
    put(QdrantStore(client, INDEX), "hold", "dogs fly in the hold")
    drop(client)
    drop(client)  # nothing there: nothing happens
    assert QdrantStore(client, IndexManifest("bert", 32)).count() == 0


def test_collection_dropped_under_an_open_store_is_a_store_error() -> None:
    client = connect(IN_MEMORY)
    store = QdrantStore(client, INDEX)
    drop(client)
    with pytest.raises(StoreError, match="cannot be read"):
        store.count()


def test_describe_says_version_and_passages(dead_url: str) -> None:
    client = connect(IN_MEMORY)
    assert "no passages yet" in describe(client)
    put(QdrantStore(client, INDEX), "pets", "dogs", "cats")
    assert describe(client).endswith(", 2 passages")
    with pytest.raises(StoreError, match=dead_url):
        describe(connect(dead_url))


@needs_server
def test_server_indexes_what_is_filtered_by() -> None:
    engine = QdrantServer()
    engine.leave(engine.open())
    client = connect(str(SERVER_URL))
    schema = client.get_collection(engine.collection).payload_schema
    types = {key: str(index.data_type) for key, index in schema.items()}
    keywords = dict.fromkeys(["tenant", "groups", "collection", "document_id"], "keyword")
    assert types == {**keywords, "generation": "integer"}
    client.close()
    engine.remove()


@needs_server
def test_server_takes_processes_that_start_together() -> None:
    engine = QdrantServer()
    with ThreadPoolExecutor(4) as pool:
        for store in pool.map(lambda _: engine.open(), range(4)):
            engine.leave(store)
    engine.remove()
