"""POST /v1/decide and the page that uses it, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from router.prices import PRICES_FILE
from serving.cli.main import main
from tests.router.use_cases import PUBLISHED
from tests.serving.test_http_bad_input import refusal
from tests.serving.test_http_chat import Served, serve

DECIDE = "/v1/decide"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("home")) as served:
        yield served


def post(served: Served, **changes: Any) -> httpx.Response:
    """The published answers with others; None leaves one out."""
    body = {name: value for name, value in {**PUBLISHED, **changes}.items() if value is not None}
    return served.http.post(DECIDE, json=body)


def decided(served: Served, **changes: Any) -> dict[str, Any]:
    response = post(served, **changes)
    assert response.status_code == 200, response.text
    record: dict[str, Any] = response.json()
    return record


def test_reply_is_what_the_command_prints_as_json(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [p for n, w in PUBLISHED.items() for p in (f"--{n.replace('_', '-')}", w)]
    main(["decide", "analyze", *flags, "--json"])
    assert decided(served) == json.loads(capsys.readouterr().out)


def test_numbers_and_truth_values_are_taken_as_such(served: Served) -> None:
    as_words = decided(served)
    as_values = decided(served, needs_citations=True, training_data=200, monthly_queries=100_000)
    assert as_values == as_words


def test_report_is_added_where_it_is_asked_for(served: Served) -> None:
    plain, told = decided(served), decided(served, report=True)
    sections = told.pop("report")
    assert told == plain
    assert sections[0]["drawing"]["tag"] == "svg"
    assert [each["title"] for each in sections][1] == "$570 a month"


def test_compliance_and_mode_decide(served: Served) -> None:
    record = decided(
        served,
        data_must_not_enter_weights=True,
        no_external_data_access=True,
        price_mode="managed",
    )
    assert record["decision"]["recommendation"] == "RAG Only"
    assert len(record["decision"]["conflicts"]) == 2
    assert record["comparison"]["mode"] == "managed"


@pytest.mark.parametrize(
    "prices",
    [{"api": {"vector_db_per_month": 7}}, PRICES_FILE.read_text().replace("= 70.0", "= 7.0")],
    ids=["object", "toml"],
)
def test_prices_are_taken_as_an_object_and_as_the_files_text(
    served: Served, prices: object
) -> None:
    assert decided(served, prices=prices)["costs"]["monthly"] == pytest.approx(507.20)


def test_measured_latencies_are_taken(served: Served) -> None:
    stages = {"embed": {"p50": 2, "p95": 3}, "search": {"p50": 11, "p95": 19}}
    record = decided(served, bench={"sizes": [{"passages": 5000, "stages_ms": stages}]})
    assert record["latency_budget"]["total_ms"] == {"low": 513, "high": 2022}


def test_readiness_report_counts_instead_of_a_number(served: Served) -> None:
    findings = [{"line": line, "detail": "the same"} for line in range(1, 41)]
    problem = {
        "kind": "exact duplicates",
        "summary": "40 rows",
        "advice": "Remove them.",
        "findings": findings,
    }
    readiness = {"count": 120, "verdict": "possible", "problems": [problem]}
    record = decided(served, training_data=None, readiness=readiness)
    assert record["use_case"]["training_data"] == 80
    assert record["decision"]["recommendation"] == "RAG Only"
    assert "80 examples is INSUFFICIENT" in record["decision"]["warnings"][0]


@pytest.mark.parametrize(
    ("changes", "param", "said"),
    [
        ({"latency_requirement": "2"}, "latency_requirement", "has no unit"),
        ({"latency_requirement": 2}, "latency_requirement", "has no unit"),
        ({"knowledge_changes": "often"}, "knowledge_changes", "write daily"),
        ({"knowledge_changes": None}, "knowledge_changes", "Field required"),
        ({"knowledge_changes": "x" * 100_000}, "knowledge_changes", "characters are too many"),
        ({"knowledge_changes": "\ud800"}, "knowledge_changes", "is no period"),
        ({"training_data": -5}, "training_data", "no number of examples"),
        ({"training_data": True}, "training_data", "True is no number"),
        ({"monthly_queries": True}, "monthly_queries", "True is no number"),
        ({"style_requirements": "x" * 100_000}, "style_requirements", "characters are too many"),
        ({"training_data": 10**30}, "training_data", "out of bounds"),
        ({"training_data": None}, None, "`training_data` or `readiness`"),
        ({"readiness": {"count": 5}}, None, "`training_data` or `readiness`"),
        ({"monthly_queries": 0}, "monthly_queries", "between 1 and"),
        ({"monthly_queries": 1.5}, "monthly_queries", ""),
        ({"needs_citations": 3}, "needs_citations", ""),
        ({"price_mode": "rented"}, "price_mode", "self_hosted"),
        ({"prices": {"rent": 1}}, "prices", "rent: no such name"),
        ({"prices": "rent ="}, "prices", "not TOML"),
        ({"bench": {"sizes": []}}, "bench", "twofold bench retrieval"),
        ({"colour": "red"}, "colour", "Extra inputs are not permitted"),
    ],
)
def test_what_is_not_understood_is_400_with_what_is_allowed(
    served: Served, changes: dict[str, Any], param: str | None, said: str
) -> None:
    body = {n: v for n, v in {**PUBLISHED, **changes}.items() if v is not None}
    response = served.http.post(
        DECIDE, content=json.dumps(body), headers={"content-type": "application/json"}
    )
    error = refusal(response, 400)
    assert said in error["message"]
    if param:
        assert error["param"] == param
    decided(served)


def test_key_is_asked_for_where_there_are_keys(tmp_path_factory: pytest.TempPathFactory) -> None:
    keys = [{"key": "secret-secret-secret", "tenant": "acme", "groups": ["staff"]}]
    with serve(tmp_path_factory.mktemp("home"), keys=keys) as locked:
        assert post(locked).status_code == 401
        locked.http.headers["authorization"] = "Bearer secret-secret-secret"
        assert post(locked).status_code == 200
        assert locked.http.get("/decide").status_code == 200


def test_page_is_served_with_the_policy_that_it_keeps(served: Served) -> None:
    page = served.http.get("/decide")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert 'href="/decide"' in served.http.get("/").text
    for name in ("decide.js", "report.js", "decide.css"):
        assert served.http.get(f"/static/{name}").status_code == 200
