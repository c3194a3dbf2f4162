"""Bad input over real HTTP: a clear error in OpenAI's shape, the right status, and it goes on."""

from __future__ import annotations

import io
import json
import socket
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from retrieval.onnx_embedder import OnnxEmbedder
from starter import bundle
from tests.serving.test_assistant import QUESTION
from tests.serving.test_http_chat import Served, question_body, serve
from tests.serving.test_http_documents import BINARY, put

CHAT, SEARCH, DOCUMENTS = "/v1/chat/completions", "/v1/search", "/v1/documents"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("home"), max_upload_mib=1) as served:
        yield served


@pytest.fixture
def served(shared: Served) -> Iterator[Served]:
    """After each test the next question must work."""
    yield shared
    assert "60 euros" in shared.ask()["choices"][0]["message"]["content"]


def refusal(response: httpx.Response, status: int) -> dict[str, Any]:
    """The error object, which must have OpenAI's shape."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    error: dict[str, Any] = body["error"]
    assert body.keys() == {"error"}
    assert error.keys() == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert error["message"]
    assert error["type"] == ("server_error" if status >= 500 else "invalid_request_error")
    return error


def post(served: Served, path: str, content: bytes, **headers: str) -> httpx.Response:
    usual = {"content-type": "application/json", **headers}
    return served.http.post(path, content=content, headers=usual)


# Questions.


@pytest.mark.parametrize("question", ["", " ", "\n\t  "])
def test_empty_question_is_400(served: Served, question: str) -> None:
    error = refusal(served.post(question), 400)

    assert error["param"] == "messages"
    assert "empty" in error["message"]


def test_question_of_200_kb_is_400_with_the_limit(served: Served) -> None:
    error = refusal(served.post("bag " * 50_000), 400)

    assert error["code"] == "context_length_exceeded"
    assert "200,000" in error["message"]
    assert "20,000" in error["message"]


def test_system_message_of_200_kb_is_no_reason_to_fail(served: Served) -> None:
    turns = [{"role": "system", "content": "x " * 100_000}, {"role": "user", "content": QUESTION}]

    assert served.post(messages=turns).status_code == 200


def test_body_of_two_megabytes_is_413(served: Served) -> None:
    error = refusal(served.post("bag " * 500_000), 413)

    assert error["code"] == "request_too_large"


ODD = [
    "???",
    "🧳",
    "\u200b",
    "a\x00b",
    "\u202egnikcart",
    "👩‍👧" * 50,
    "ß" * 500,
    "<b>",
    "[1]",
    "' OR 1=1",
]


@pytest.mark.parametrize("question", ODD)
def test_odd_question_is_answered_or_refused_but_no_error(served: Served, question: str) -> None:
    assert served.post(question).status_code == 200
    assert served.http.post(SEARCH, json={"query": question}).status_code == 200


def test_text_that_is_no_unicode_is_400(tmp_path: Path, models_dir: Path) -> None:
    body = b'{"model": "twofold", "messages": [{"role": "user", "content": "bag \\ud800"}]}'
    embedder = OnnxEmbedder.bundled(models_dir, adapter_dir=bundle.EMBEDDER_ADAPTER)
    with serve(tmp_path, embedder=embedder) as served:
        response = post(served, CHAT, body)

    refusal(response, 400)


@pytest.mark.parametrize("path", [CHAT, SEARCH])
def test_collection_that_is_no_unicode_is_400(served: Served, path: str) -> None:
    body = {
        CHAT: json.dumps(question_body(twofold={"collections": ["\ud800"]})),
        SEARCH: json.dumps({"query": "bag", "collections": ["\ud800"]}),
    }

    refusal(post(served, path, body[path].encode()), 400)


# Bodies.


@pytest.mark.parametrize("path", [CHAT, SEARCH])
@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"model": ', b"[]", b"null", b'"text"', b"\xff\xfe", b"[" * 50_000, b"not json"],
)
def test_malformed_json_is_400(served: Served, path: str, content: bytes) -> None:
    refusal(post(served, path, content), 400)


def test_malformed_json_is_told_where(served: Served) -> None:
    error = refusal(post(served, CHAT, b'{"model": "twofold", }'), 400)

    assert "not JSON" in error["message"]
    assert "character" in error["message"]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": 1}, "model"),
        ({"model": None}, "model"),
        ({"messages": "hello"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages"),
        ({"messages": [{"role": "wizard", "content": "hi"}]}, "messages"),
        ({"messages": [{"content": "hi"}]}, "messages"),
        ({"messages": [{"role": "system", "content": "hi"}]}, "messages"),
        ({"messages": [{"role": "assistant", "content": "hi"}]}, "messages"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages",
        ),
        ({"stream": "perhaps"}, "stream"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": 2.5}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"twofold": {"max_citations": 0}}, "twofold"),
        ({"twofold": {"max_citations": 21}}, "twofold"),
        ({"twofold": {"max_citation": 1}}, "twofold"),
        ({"twofold": {"collections": "one"}}, "twofold"),
        ({"twofold": []}, "twofold"),
    ],
)
def test_wrong_field_is_400_by_name(served: Served, change: dict[str, Any], param: str) -> None:
    error = refusal(served.http.post(CHAT, json={**question_body(), **change}), 400)

    assert error["param"] == param


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_missing_field_is_400_by_name(served: Served, missing: str) -> None:
    body = question_body()
    del body[missing]

    assert refusal(served.http.post(CHAT, json=body), 400)["param"] == missing


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "9" * 5000])
def test_number_beyond_reason_is_400(served: Served, number: str) -> None:
    body = json.dumps(question_body())[:-1] + f', "temperature": {number}}}'

    refusal(post(served, CHAT, body.encode()), 400)


@pytest.mark.parametrize("field", ["stream", "n"])
def test_null_means_left_out(served: Served, field: str) -> None:
    assert served.http.post(CHAT, json={**question_body(), field: None}).status_code == 200


@pytest.mark.parametrize(
    "field", ["temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "seed"]
)
def test_null_option_is_let_pass(served: Served, field: str) -> None:
    assert served.http.post(CHAT, json={**question_body(), field: None}).status_code == 200


@pytest.mark.parametrize(
    "extra", [{"user": "me"}, {"logprobs": False}, {"response_format": {"type": "text"}}, {"x": 1}]
)
def test_openai_fields_without_meaning_are_let_pass(served: Served, extra: dict[str, Any]) -> None:
    assert served.http.post(CHAT, json=question_body(**extra)).status_code == 200


@pytest.mark.parametrize(
    "model", ["gpt-4", "", "twofold:", "twofold:nope", "TWOFOLD", "twofold@", "twofold\n", "🧳"]
)
def test_unknown_model_is_404_with_those_that_exist(served: Served, model: str) -> None:
    error = refusal(served.post(model=model), 404)

    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "twofold:rag" in error["message"]


@pytest.mark.parametrize("name", ["nope", "../../etc/passwd", "a@b", "."])
def test_unknown_adapter_is_404_by_name(served: Served, name: str) -> None:
    error = refusal(served.post(model=f"twofold@{name}"), 404)

    assert error["code"] == "adapter_not_found"
    assert repr(name) in error["message"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query": ""},
        {"query": "  "},
        {"query": 5},
        {"query": "bag", "k": 0},
        {"query": "bag", "k": -1},
        {"query": "bag", "k": 101},
        {"query": "bag", "k": 10**30},
        {"query": "bag", "k": 2.5},
        {"query": "bag", "k": None},
        {"query": "bag", "k": {}},
        {"query": "bag", "k": {"policies": 0}},
        {"query": "bag", "k": {"policies": "many"}},
        {"query": "bag", "k": {"policies": 2}, "collections": ["policies"]},
        {"query": "bag", "k": {f"c{number}": 1 for number in range(21)}},
        {"query": "bag", "top_k": 3},
        {"query": "bag", "collections": "policies"},
    ],
)
def test_wrong_search_is_400(served: Served, body: dict[str, Any]) -> None:
    refusal(served.http.post(SEARCH, json=body), 400)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/nope", 404), ("GET", CHAT, 405), ("DELETE", DOCUMENTS, 405), ("GET", "/x", 404)],
)
def test_unknown_path_or_method_has_the_shape_too(
    served: Served, method: str, path: str, status: int
) -> None:
    refusal(served.http.request(method, path), status)


# Files.


def test_binary_file_renamed_pdf_is_named_as_failed(served: Served) -> None:
    result = put(served.http, "report.pdf", BINARY, collection="bad")

    assert result["added"] == 0
    assert result["failed"][0]["source"] == "report.pdf"
    assert ".pdf" in result["failed"][0]["reason"]


def test_reason_of_a_failed_conversion_says_something(served: Served) -> None:
    result = put(served.http, "report.pdf", BINARY, collection="bad")

    assert "attempts:;" not in result["failed"][0]["reason"]


def test_upload_over_the_limit_is_413_with_both_sizes(served: Served) -> None:
    response = served.http.post(DOCUMENTS, files={"file": ("big.md", b"x" * (1 << 20))})
    error = refusal(response, 413)

    assert error["code"] == "request_too_large"
    assert "1,048,576" in error["message"]


@pytest.mark.parametrize(
    "source",
    ["../x.md", "/etc/x.md", "a/../../x.md", "..\\x.md", "\\\\host\\x.md", "..", ".", "a/..", ""],
)
def test_source_that_leaves_its_place_is_400(served: Served, source: str) -> None:
    response = served.http.post(
        DOCUMENTS, data={"source": source}, files={"file": ("x.md", b"# X\n\nText.\n")}
    )

    assert refusal(response, 400)["param"] == "source"


@pytest.mark.parametrize("name", ["../x.md", "/etc/x.md", "..\\x.md"])
def test_file_name_that_leaves_its_place_is_400(served: Served, name: str) -> None:
    refusal(served.http.post(DOCUMENTS, files={"file": (name, b"# X\n\nText.\n")}), 400)


def test_sources_that_do_not_match_the_files_are_400(served: Served) -> None:
    files = [("file", (f"{number}.md", b"Text.")) for number in range(2)]
    error = refusal(served.http.post(DOCUMENTS, data={"source": "one.md"}, files=files), 400)

    assert "2 files" in error["message"]
    assert "1 of source" in error["message"]


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"x"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="file'),
        ("multipart/form-data; boundary=b", b"--b--\r\n"),
        ("text/plain", b"x"),
    ],
)
def test_upload_that_is_none_is_400(served: Served, content_type: str, content: bytes) -> None:
    refusal(post(served, DOCUMENTS, content, **{"content-type": content_type}), 400)


def test_file_field_that_is_text_is_400(served: Served) -> None:
    files = {"file": (None, b"just text")}

    assert refusal(served.http.post(DOCUMENTS, files=files), 400)["param"] == "file"


@pytest.mark.parametrize(
    "name", ["日本/ü.md", "🧳.md", "a b.md", "<b>x</b>.md", "[red].md", "x" * 300 + ".md"]
)
def test_odd_name_is_kept_as_it_is(served: Served, name: str) -> None:
    result = put(served.http, "x.md", "# X\n\nText.\n", source=name, collection="odd")

    assert result["documents"][0]["source"] == name


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.html", b"<html><body>" + b"<div>" * 3000 + b"deep text" + b"</div>" * 3000),
        ("x.md", b">" * 3000 + b" quoted"),
        ("x.md", b"[" * 3000),
        ("x.md", b"# " + "🧳".encode() * 100 + b"\n\ntext"),
        ("x.md", b"\xef\xbb\xbf# BOM\n\ntext"),
        ("x.md", b"| a |\n|---|\n" + b"| b |\n" * 500),
        ("x.csv", b'"unclosed,\n'),
        ("x.csv", b"a"),
    ],
)
@pytest.mark.filterwarnings("ignore:HTML document is too deeply nested:UserWarning")
def test_odd_file_is_added_or_named(served: Served, name: str, content: bytes) -> None:
    result = put(served.http, name, content, collection="odd-files")

    assert result["added"] + result["updated"] + len(result["failed"]) == 1


def test_html_that_the_parser_rejects_is_named_as_failed(served: Served) -> None:
    content = b"<html><body><![n ><p>hello</p></body></html>"

    assert put(served.http, "x.html", content, collection="bad")["failed"]


def test_file_with_old_mac_line_ends_is_added(served: Served) -> None:
    content = b"# A\r\rbody one is here\r\r# B\r\rbody two\r# C\rtext three\r"

    assert put(served.http, "cr.md", content, collection="mac")["added"] == 1


def test_archive_renamed_docx_is_named_as_failed(served: Served) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("inside.txt", "not a Word file")

    assert put(served.http, "x.docx", archive.getvalue(), collection="bad")["failed"]


def test_heading_of_many_spaces_is_read_quickly(served: Served) -> None:
    started = time.monotonic()
    put(served.http, "spaces.md", b"# a" + b" " * 1000 + b"b\n\ntext\n", collection="slow")

    assert time.monotonic() - started < 1


# Where a request comes from.


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:1", "file://"]
)
@pytest.mark.parametrize(("method", "path"), [("POST", CHAT), ("GET", DOCUMENTS), ("GET", "/")])
def test_page_of_another_site_is_refused(
    served: Served, origin: str, method: str, path: str
) -> None:
    body = question_body() if method == "POST" else None
    response = served.http.request(method, path, json=body, headers={"Origin": origin})

    assert origin in refusal(response, 400)["message"]


def test_our_own_page_is_let_pass(served: Served) -> None:
    origin = str(served.http.base_url).rstrip("/")
    response = served.http.post(CHAT, json=question_body(), headers={"Origin": origin})

    assert response.status_code == 200


def test_page_of_a_name_that_points_here_is_refused(served: Served) -> None:
    here = f"evil.example:{served.http.base_url.port}"
    response = served.http.get(DOCUMENTS, headers={"Host": here, "Origin": f"http://{here}"})

    assert response.status_code in {400, 403, 421}


@pytest.mark.parametrize(("name", "value"), [("Origin", "http://["), ("Host", "[")])
def test_header_that_is_no_address_is_400(served: Served, name: str, value: str) -> None:
    refusal(served.http.get(DOCUMENTS, headers={name: value}), 400)


def test_public_name_is_one_of_our_own(tmp_path: Path) -> None:
    with serve(tmp_path, public_url="https://help.example") as served:
        named = served.http.get(DOCUMENTS, headers={"Host": "help.example"})
        page = {"Host": "help.example", "Origin": "https://help.example"}
        asked = served.http.post(SEARCH, json={"query": "suitcase"}, headers=page)

    assert (named.status_code, asked.status_code) == (200, 200)


@pytest.mark.parametrize("path", ["/", "/healthz", "/v1/nope", CHAT])
def test_every_reply_carries_the_guarding_headers(served: Served, path: str) -> None:
    headers = served.http.get(path).headers

    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/static/..%2f..%2fsettings.py", "/static/%2e%2e/settings.py"])
def test_static_files_end_at_their_folder(served: Served, path: str) -> None:
    assert served.http.get(path).status_code == 404


def test_body_without_a_length_is_400(served: Served) -> None:
    response = served.http.post(CHAT, content=iter([json.dumps(question_body()).encode()]))

    assert "Content-Length" in refusal(response, 400)["message"]


@pytest.mark.parametrize(
    "request_text",
    [
        "POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{",
        "POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Length: ²\r\n\r\n",
        "POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\x00\x01\x02\r\n\r\n",
    ],
)
def test_connection_that_breaks_off_hurts_nobody(served: Served, request_text: str) -> None:
    url = urlsplit(str(served.http.base_url))
    assert url.hostname
    assert url.port
    with socket.create_connection((url.hostname, url.port), timeout=5) as connection:
        connection.sendall(request_text.encode("latin-1"))
        connection.shutdown(socket.SHUT_WR)
        reply = connection.recv(1000)

    assert not reply.startswith(b"HTTP/1.1 5")
