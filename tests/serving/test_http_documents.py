"""/v1/documents and /v1/search: what is stored, who sees it, and what a bad file costs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.settings import KeySettings
from tests.serving.test_assistant import DOCUMENTS, QUESTION
from tests.serving.test_http_chat import Served, question_body, serve

BINARY = bytes(range(256)) * 8
STAFF, STRANGER, GLOBEX = "acme-staff-0123456", "acme-stranger-0123", "globex-0123456789"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Its three documents stay; tests that add some use collections of their own."""
    with serve(tmp_path_factory.mktemp("home")) as served:
        yield served


def put(client: httpx.Client, name: str, content: bytes | str, **form: Any) -> dict[str, Any]:
    data = content.encode() if isinstance(content, str) else content
    response = client.post("/v1/documents", data=form, files={"file": (name, data)})
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()
    return result


def listed(client: httpx.Client, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/v1/documents", params=query).json()["data"]
    return found


def found(client: httpx.Client, query: str, **body: Any) -> list[str]:
    response = client.post("/v1/search", json={"query": query, **body})
    assert response.status_code == 200, response.text
    return [item["source"] for item in response.json()["data"]]


# List and get.


def test_list_names_each_document_with_its_size(shared: Served) -> None:
    items = {item["source"]: item for item in listed(shared.http, collection="documents")}

    assert items.keys() == DOCUMENTS.keys()
    assert items["bags.md"]["title"] == "Bags"
    assert items["bags.md"]["passages"] == 1
    assert items["bags.md"]["characters"] == len(DOCUMENTS["bags.md"])
    assert items["bags.md"]["groups"] == ["everyone"]
    assert items["bags.md"]["generation"] == 1


def test_list_of_an_unknown_collection_is_empty(shared: Served) -> None:
    assert listed(shared.http, collection="nope") == []


def test_document_comes_with_its_text(shared: Served) -> None:
    document = listed(shared.http, collection="documents")[0]
    whole = shared.http.get(f"/v1/documents/{document['id']}").json()

    assert whole["text"] == DOCUMENTS[document["source"]]
    assert "passage" not in whole


def test_document_opens_at_a_passage(shared: Served) -> None:
    hit = shared.http.post("/v1/search", json={"query": "carrier", "k": 1}).json()["data"][0]
    whole = shared.http.get(
        f"/v1/documents/{hit['document_id']}", params={"passage": hit["passage_id"]}
    ).json()
    passage = whole["passage"]

    assert passage["passage_id"] == hit["passage_id"]
    assert passage["text"] == whole["text"][passage["start"] : passage["end"]] == hit["text"]


def test_passage_of_earlier_content_marks_nothing(shared: Served) -> None:
    document = listed(shared.http, collection="documents")[0]
    whole = shared.http.get(f"/v1/documents/{document['id']}", params={"passage": "gone"})

    assert whole.status_code == 200
    assert whole.json()["passage"] is None


def test_browser_that_opens_a_citation_gets_the_page(shared: Served) -> None:
    document = listed(shared.http, collection="documents")[0]
    page = shared.http.get(
        f"/v1/documents/{document['id']}", headers={"Accept": "text/html,*/*;q=0.8"}
    )

    assert page.headers["content-type"].startswith("text/html")
    assert "<html" in page.text


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_unknown_document_is_404(shared: Served, method: str) -> None:
    response = shared.http.request(method, "/v1/documents/nope")

    assert response.status_code == 404
    assert response.json()["error"]["code"] == "document_not_found"


# Add, replace, delete.


def test_added_document_answers_and_deleted_one_does_not(shared: Served) -> None:
    result = put(shared.http, "z.md", "# Zebras\n\nA zebra pays 90 euros.\n", collection="zoo")
    body = question_body("What does a zebra pay?", twofold={"collections": ["zoo"]})
    before = shared.http.post("/v1/chat/completions", json=body).json()
    deleted = shared.http.delete(f"/v1/documents/{result['documents'][0]['id']}").json()
    after = shared.http.post("/v1/chat/completions", json=body).json()

    assert (result["added"], result["failed"]) == (1, [])
    assert "90 euros" in before["choices"][0]["message"]["content"]
    assert deleted["deleted"] is True
    assert after["twofold"]["outcome"] == "not_in_documents"
    assert listed(shared.http, collection="zoo") == []


def test_same_content_again_is_unchanged_and_other_content_an_update(shared: Served) -> None:
    text = "# A\n\nAlpha pays 1 euro.\n"
    outcomes = [
        put(shared.http, "a.md", text, collection="again"),
        put(shared.http, "a.md", text, collection="again"),
        put(shared.http, "a.md", text.replace("1", "2"), collection="again"),
    ]

    counts = [[result[it] for it in ("added", "updated", "unchanged")] for result in outcomes]
    assert counts == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
    (document,) = listed(shared.http, collection="again")
    assert document["generation"] == 2
    assert found(shared.http, "Alpha", collections=["again"]) == ["a.md"]


def test_put_replaces_the_text_and_keeps_the_rest(shared: Served) -> None:
    added = put(shared.http, "p.md", "# P\n\nOld text.\n", collection="put", source="deep/p.md")[
        "documents"
    ][0]
    response = shared.http.put(
        f"/v1/documents/{added['id']}", files={"file": ("other-name.md", b"# P\n\nNew text.\n")}
    )
    whole = shared.http.get(f"/v1/documents/{added['id']}").json()

    assert response.status_code == 200
    assert response.json()["updated"] == 1
    assert (whole["source"], whole["collection"]) == ("deep/p.md", "put")
    assert "New text." in whole["text"]


def test_put_of_another_type_is_refused(shared: Served) -> None:
    added = put(shared.http, "t.md", "# T\n\nText.\n", collection="put-type")["documents"][0]
    response = shared.http.put(
        f"/v1/documents/{added['id']}", files={"file": ("t.pdf", b"%PDF-1.7")}
    )

    assert response.status_code == 400
    assert response.json()["error"]["param"] == "file"


def test_put_of_an_unreadable_file_keeps_the_old_text(shared: Served) -> None:
    added = put(shared.http, "u.md", "# U\n\nOld text.\n", collection="put-bad")["documents"][0]
    response = shared.http.put(f"/v1/documents/{added['id']}", files={"file": ("u.md", BINARY)})

    assert response.status_code == 400
    assert response.json()["error"]["code"] == "unreadable_document"
    assert "Old text." in shared.http.get(f"/v1/documents/{added['id']}").json()["text"]


def test_put_of_an_unknown_document_is_404(shared: Served) -> None:
    assert shared.http.put("/v1/documents/nope", files={"file": ("a.md", b"x")}).status_code == 404


def test_unreadable_files_are_named_and_the_others_go_on(shared: Served) -> None:
    files = [
        ("file", ("good.md", b"# Good\n\nGood text.\n")),
        ("file", ("broken.pdf", BINARY)),
        ("file", ("empty.md", b"")),
        ("file", ("program.exe", b"MZ")),
        ("file", ("latin.txt", "Grüße".encode("latin-1"))),
        ("file", ("also-good.txt", b"Also good text.")),
    ]
    response = shared.http.post("/v1/documents", data={"collection": "mixed"}, files=files)
    result = response.json()
    reasons = {item["source"]: item["reason"] for item in result["failed"]}

    assert response.status_code == 200
    assert result["added"] == 2
    assert reasons.keys() == {"broken.pdf", "empty.md", "program.exe", "latin.txt"}
    assert all(source in reason for source, reason in reasons.items())
    assert ".exe" in reasons["program.exe"]
    assert "UTF-8" in reasons["latin.txt"]
    sources = [item["source"] for item in listed(shared.http, collection="mixed")]
    assert sources == ["also-good.txt", "good.md"]


def test_sources_name_the_files(shared: Served) -> None:
    files = [("file", ("a.md", b"# A\n\nText.\n")), ("file", ("a.md", b"# B\n\nText.\n"))]
    data = {"collection": "named", "source": ["x/a.md", "y\\a.md"]}
    shared.http.post("/v1/documents", data=data, files=files)

    assert [item["source"] for item in listed(shared.http, collection="named")] == [
        "x/a.md",
        "y/a.md",
    ]


@pytest.mark.parametrize("param", ["source", "origin", "collection"])
def test_more_names_than_files_are_refused(shared: Served, param: str) -> None:
    response = shared.http.post(
        "/v1/documents", data={param: ["a", "b", "c"]}, files=[("file", ("a.md", b"x"))] * 2
    )

    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_each_file_may_have_a_collection_of_its_own(shared: Served) -> None:
    files = [("file", (name, b"# Own\n\nText.\n")) for name in ("a.md", "b.md")]
    shared.http.post("/v1/documents", data={"collection": ["own-1", "own-2"]}, files=files)

    assert [item["source"] for item in listed(shared.http, collection="own-1")] == ["a.md"]
    assert [item["source"] for item in listed(shared.http, collection="own-2")] == ["b.md"]


def test_failed_file_says_whether_its_last_content_answers(shared: Served) -> None:
    put(shared.http, "kept.md", "# Kept\n\nKept text.\n", collection="kept")
    files = [("file", (name, BINARY)) for name in ("kept.md", "new.md")]
    response = shared.http.post("/v1/documents", data={"collection": "kept"}, files=files)
    failed = {item["source"]: item["still_answers"] for item in response.json()["failed"]}

    assert failed == {"kept.md": True, "new.md": False}
    assert found(shared.http, "kept text", collections=["kept"]) == ["kept.md"]


def test_path_of_a_file_is_the_operators_alone_to_see(tmp_path: Path) -> None:
    with keyed(tmp_path) as clients:
        put(clients[STAFF], "a.md", "# A\n\nText.\n", origin="/home/ada/a.md")
        (item,) = listed(clients[STAFF])
        whole = clients[STAFF].get(f"/v1/documents/{item['id']}").json()

    assert "/home/ada" not in json.dumps([item, whole])


def test_collection_defaults_to_documents_and_groups_to_everyone(tmp_path: Path) -> None:
    with serve(tmp_path) as served:
        put(served.http, "d.md", "# D\n\nText.\n", collection="  ", groups=" , ")
        (document,) = [item for item in listed(served.http) if item["source"] == "d.md"]

    assert (document["collection"], document["groups"]) == ("documents", ["everyone"])


def test_same_file_at_once_is_one_document(shared: Served) -> None:
    results: list[dict[str, Any]] = []

    def add(number: int) -> None:
        text = f"# Same\n\nVersion {number % 2}.\n"
        results.append(put(shared.http, "same.md", text, collection="at-once"))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(results) == 8
    assert sum(result["added"] for result in results) == 1
    (document,) = listed(shared.http, collection="at-once")
    assert document["passages"] == 1
    assert found(shared.http, "version", collections=["at-once"]) == ["same.md"]


def test_documents_come_and_go_while_questions_are_asked(shared: Served) -> None:
    statuses: set[int] = set()
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            body = question_body("What does a yak pay?", twofold={"collections": ["yaks"]})
            with httpx.Client(base_url=shared.http.base_url, trust_env=False) as client:
                statuses.add(client.post("/v1/chat/completions", json=body).status_code)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(5):
        result = put(shared.http, "yak.md", f"A yak pays {number} euros.", collection="yaks")
        shared.http.delete(f"/v1/documents/{result['documents'][0]['id']}")
    done.set()
    for thread in threads:
        thread.join()

    assert statuses == {200}


# Search.


def test_search_gives_k_passages_with_their_ranks(shared: Served) -> None:
    hits = shared.http.post("/v1/search", json={"query": QUESTION, "k": 2}).json()["data"]

    assert len(hits) == 2
    assert hits[0]["source"] == "bags.md"
    assert hits[0]["dense_rank"] == hits[0]["bm25_rank"] == 1
    assert hits[0]["score"] >= hits[1]["score"]
    assert hits[0]["text"] in DOCUMENTS["bags.md"]


@pytest.mark.parametrize("k", [1, 100])
def test_search_takes_k_up_to_a_hundred(shared: Served, k: int) -> None:
    assert 1 <= len(found(shared.http, QUESTION, k=k)) <= k


def test_search_gives_each_collection_its_own_k(shared: Served) -> None:
    body: dict[str, Any] = {"query": QUESTION, "k": 100}
    everything = shared.http.post("/v1/search", json=body).json()["data"]
    names = {hit["collection"] for hit in everything}
    assert len(everything) > len(names) > 1

    body["k"] = dict.fromkeys(names, 1) | {"nope": 5}
    hits = shared.http.post("/v1/search", json=body).json()["data"]
    assert sorted(hit["collection"] for hit in hits) == sorted(names)


def test_search_stays_in_its_collections(shared: Served) -> None:
    assert found(shared.http, QUESTION, collections=["nope"]) == []


# Keys, tenants, groups.


@contextmanager
def keyed(home: Path) -> Iterator[dict[str, httpx.Client]]:
    """Acme's staff, somebody else at Acme, and Globex; nobody without a key."""
    keys = (
        KeySettings.model_validate({"key": STAFF, "tenant": "acme", "groups": ["staff"]}),
        KeySettings.model_validate({"key": STRANGER, "tenant": "acme"}),
        KeySettings.model_validate({"key": GLOBEX, "tenant": "globex", "groups": ["staff"]}),
    )
    with serve(home, keys=keys) as served:
        clients = {
            key: httpx.Client(
                base_url=served.http.base_url,
                headers={"Authorization": f"Bearer {key}"} if key else {},
                trust_env=False,
                timeout=20,
            )
            for key in (STAFF, STRANGER, GLOBEX, "")
        }
        try:
            yield clients
        finally:
            for client in clients.values():
                client.close()


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, httpx.Client]]:
    """Acme has a document for all of it and one for its staff; Globex has one of the same name."""
    with keyed(tmp_path_factory.mktemp("home")) as clients:
        acme = clients[STAFF]
        put(acme, "open.md", "# Open\n\nThe canteen opens at 8.\n", collection="house")
        put(
            acme,
            "secret.md",
            "# Salaries\n\nThe canteen cook earns 3000 euros.\n",
            collection="house",
            groups="staff",
        )
        put(clients[GLOBEX], "open.md", "# Globex\n\nThe canteen opens at 11.\n")
        yield clients


PROTECTED = [
    ("GET", "/v1/documents", None),
    ("GET", "/v1/documents/x", None),
    ("DELETE", "/v1/documents/x", None),
    ("POST", "/v1/search", {"query": "canteen"}),
    ("GET", "/v1/models", None),
    ("POST", "/v1/chat/completions", question_body()),
]


@pytest.mark.parametrize(("method", "path", "body"), PROTECTED)
@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong-key-0123456"}])
def test_without_a_known_key_everything_is_401(
    clients: dict[str, httpx.Client],
    header: dict[str, str],
    method: str,
    path: str,
    body: dict[str, Any] | None,
) -> None:
    response = clients[""].request(method, path, json=body, headers=header)

    assert response.status_code == 401
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert response.headers["www-authenticate"] == "Bearer"


def test_upload_and_replacement_without_a_key_are_401(clients: dict[str, httpx.Client]) -> None:
    files = {"file": ("a.md", b"# A\n\nText.\n")}

    assert clients[""].post("/v1/documents", files=files).status_code == 401
    assert clients[""].put("/v1/documents/x", files=files).status_code == 401


def test_probes_need_no_key(clients: dict[str, httpx.Client]) -> None:
    assert clients[""].get("/healthz").status_code == 200


def test_tenants_do_not_see_each_others_documents(clients: dict[str, httpx.Client]) -> None:
    acme, globex = clients[STAFF], clients[GLOBEX]
    (theirs,) = listed(globex)

    assert {item["title"] for item in listed(acme)} == {"Open", "Salaries"}
    assert theirs["title"] == "Globex"
    assert acme.get(f"/v1/documents/{theirs['id']}").status_code == 404
    assert acme.delete(f"/v1/documents/{theirs['id']}").status_code == 404
    assert found(globex, "salaries of the canteen cook") == ["open.md"]


def test_groups_hide_documents_from_list_get_and_search(clients: dict[str, httpx.Client]) -> None:
    (secret,) = [item for item in listed(clients[STAFF]) if item["source"] == "secret.md"]
    outsider = clients[STRANGER]

    assert [item["source"] for item in listed(outsider)] == ["open.md"]
    assert outsider.get(f"/v1/documents/{secret['id']}").status_code == 404
    assert outsider.delete(f"/v1/documents/{secret['id']}").status_code == 404
    assert found(outsider, "salary of the canteen cook") == ["open.md"]
    assert found(clients[STAFF], "salary of the canteen cook")[0] == "secret.md"


def test_groups_hide_documents_from_answers(clients: dict[str, httpx.Client]) -> None:
    body = question_body("What does the canteen cook earn?")
    inside = clients[STAFF].post("/v1/chat/completions", json=body).json()
    outside = clients[STRANGER].post("/v1/chat/completions", json=body).json()

    assert "3000" in inside["choices"][0]["message"]["content"]
    assert "3000" not in json.dumps(outside)


def test_citation_opens_only_for_who_may_see_it(clients: dict[str, httpx.Client]) -> None:
    body = question_body("What does the canteen cook earn?")
    reply = clients[STAFF].post("/v1/chat/completions", json=body).json()
    urls = [item["url"] for item in reply["twofold"]["citations"] if item["source"] == "secret.md"]

    assert clients[STAFF].get(urls[0]).status_code == 200
    assert clients[STRANGER].get(urls[0]).status_code == 404
    assert clients[""].get(urls[0]).status_code == 401


def test_document_of_other_groups_cannot_be_replaced(tmp_path: Path) -> None:
    with keyed(tmp_path) as clients:
        put(clients[STAFF], "secret.md", "# Salaries\n\nThe cook earns 3000.\n", groups="staff")
        clients[STRANGER].post(
            "/v1/documents", files={"file": ("secret.md", b"# Forged\n\nThe cook earns 1.\n")}
        )
        kept = [item["title"] for item in listed(clients[STAFF])]

    assert "Salaries" in kept
