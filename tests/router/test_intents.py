"""The table of intents and routes, whole and damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from router import intents
from router.intents import Intent, Route, RouteTable, route_table
from starter import bundle


def test_table_gives_every_intent_its_route() -> None:
    assert dict(route_table().routes) == {
        Intent.FACTUAL: Route.RAG,
        Intent.CREATIVE: Route.FINE_TUNED,
        Intent.ANALYSIS: Route.HYBRID,
        Intent.SMALL_TALK: Route.FINE_TUNED,
    }


def test_table_knows_every_kind_of_starter_question() -> None:
    assert set(route_table().questions) == {q.kind for q in bundle.read_questions()}


@pytest.mark.parametrize(
    ("kind", "route"),
    [("unanswerable", Route.RAG), ("creative", Route.FINE_TUNED), ("analysis", Route.HYBRID)],
)
def test_route_of_kind_follows_the_intent(kind: str, route: Route) -> None:
    assert route_table().route_of_kind(kind) is route


def test_route_of_kind_that_is_unknown_is_refused() -> None:
    with pytest.raises(KeyError, match="riddle"):
        route_table().route_of_kind("riddle")


def test_table_of_written_examples_covers_every_intent() -> None:
    assert set(route_table().data["examples"].intents.values()) == set(Intent)


def test_table_names_a_licence_for_every_training_set() -> None:
    assert all(training_set.licence for training_set in route_table().data.values())


def test_table_is_read_once_and_cannot_be_changed() -> None:
    table = route_table()
    assert route_table() is table
    with pytest.raises(TypeError):
        table.routes[Intent.FACTUAL] = Route.HYBRID  # type: ignore[index]


def read(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RouteTable:
    (tmp_path / "intents.toml").write_text(text)
    monkeypatch.setattr(intents, "TABLE_FILE", tmp_path / "intents.toml")
    return route_table.__wrapped__()


def test_table_without_a_route_for_an_intent_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = intents.TABLE_FILE.read_text()
    damaged = shipped.replace('small_talk = "fine_tuned"', "", 1)
    assert damaged != shipped
    with pytest.raises(KeyError, match="small_talk"):
        read(damaged, tmp_path, monkeypatch)


def test_table_with_an_unknown_route_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = intents.TABLE_FILE.read_text().replace('factual = "rag"', 'factual = "guess"', 1)
    with pytest.raises(ValueError, match="guess"):
        read(damaged, tmp_path, monkeypatch)
