"""Every engine in turn, for the tests that hold for any `Store`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.retrieval.engines import ENGINES, SERVER_URL, Engine

NewEngine = Callable[[], Engine]


@pytest.fixture(scope="module", params=ENGINES)
def new_engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NewEngine]:
    """Makes an empty index of the engine in turn."""
    if request.param == "qdrant-server" and SERVER_URL is None:
        pytest.skip("QDRANT_URL names no server")
    made: list[Engine] = []

    def make() -> Engine:
        made.append(ENGINES[request.param](tmp_path_factory.mktemp("engine")))
        return made[-1]

    yield make
    for engine in made:
        engine.remove()


@pytest.fixture
def engine(new_engine: NewEngine) -> Engine:
    """An index that no other test has seen."""
    return new_engine()
