"""Nothing outside the scope is ever found: every place, and every history of writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations, count, product

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from retrieval.documents import EVERYONE, Scope, ScoredPassage, document_id
from retrieval.store import Store
from tests.retrieval.conftest import NewEngine
from tests.retrieval.engines import Place, bm25, hybrid, names, put

TENANTS = ("default", "other")
GROUPS = (EVERYONE, "staff", "legal")
COLLECTIONS = ("policies", "notices")
GROUP_SETS = [groups for size in (1, 2, 3) for groups in combinations(GROUPS, size)]
PLACES = {
    f"{number}": Place(*place)
    for number, place in enumerate(product(TENANTS, GROUP_SETS, COLLECTIONS))
}


def visible(place: Place, scope: Scope) -> bool:
    return (
        place.tenant == scope.tenant
        and (scope.groups is None or bool(set(place.groups) & set(scope.groups)))
        and (not scope.collections or place.collection in scope.collections)
    )


@pytest.fixture(scope="module")
def everywhere(new_engine: NewEngine) -> Iterator[Store]:
    """One document in every place that there can be."""
    engine = new_engine()
    store = engine.open()
    for name, place in PLACES.items():
        put(store, name, f"dogs number {name}", place=place)
    yield store
    engine.leave(store)


@settings(max_examples=60, deadline=None)
@given(
    scope=st.builds(
        Scope,
        tenant=st.sampled_from([*TENANTS, "nobody"]),
        groups=st.none() | st.sets(st.sampled_from([*GROUPS, "stranger"])).map(tuple),
        collections=st.sets(st.sampled_from([*COLLECTIONS, "none"])).map(tuple),
    )
)
def test_search_finds_all_of_the_scope_and_nothing_else(everywhere: Store, scope: Scope) -> None:
    within = {name for name, place in PLACES.items() if visible(place, scope)}
    assert set(names(bm25(everywhere, "dogs", scope))) == within
    assert set(names(hybrid(everywhere, "dogs", scope))) == within


# Histories: documents are added, replaced (by other texts, for other groups) and deleted, as the
# ingestor does it.


@dataclass(frozen=True, slots=True)
class Write:
    """Put or replace the document of this source; no texts delete it."""

    source: str
    place: Place
    texts: tuple[str, ...]


@dataclass(slots=True)
class World:
    """What should be in the store: for each document its place, generation and texts."""

    store: Store
    live: dict[str, tuple[Place, int, tuple[str, ...]]] = field(default_factory=dict)
    generations: Iterator[int] = field(default_factory=lambda: count(1))

    def apply(self, write: Write) -> None:
        place = write.place
        name = document_id(tenant=place.tenant, collection=place.collection, source=write.source)
        before = self.live.pop(name, None)
        if not write.texts:
            self.store.delete(name)
            return
        generation = next(self.generations)
        put(self.store, name, *write.texts, generation=generation, place=place)
        if before is not None:
            self.store.delete(name, generation=before[1])
        self.live[name] = (place, generation, write.texts)

    def within(self, scope: Scope) -> set[tuple[str, int, str]]:
        """Document, generation and text of each passage that the scope may see."""
        return {
            (name, generation, text)
            for name, (place, generation, texts) in self.live.items()
            if visible(place, scope)
            for text in texts
        }


def found(hits: list[ScoredPassage]) -> set[tuple[str, int, str]]:
    return {(hit.passage.document_id, hit.passage.generation, hit.passage.text) for hit in hits}


WRITES = st.builds(
    Write,
    source=st.sampled_from(["bags.md", "pets.md"]),
    place=st.builds(
        Place,
        tenant=st.sampled_from(TENANTS),
        groups=st.sampled_from(GROUP_SETS),
        collection=st.sampled_from(COLLECTIONS),
    ),
    texts=st.sets(
        st.sampled_from(["dogs", "dogs fly", "dogs and cats", "no dogs here"]), max_size=3
    ).map(tuple),
)
SCOPES = [
    Scope(*scope)
    for scope in product(TENANTS, [None, (), ("staff",), (EVERYONE, "legal")], [(), ("policies",)])
]
EXAMPLES = count()


@pytest.fixture(scope="module")
def lived_in(new_engine: NewEngine) -> Iterator[Store]:
    """Keeps the documents of every example, each example's under tenants of its own."""
    engine = new_engine()
    store = engine.open()
    yield store
    engine.leave(store)


# Not shrunk: a failing history is short as it is, and each try makes the store fuller.
@settings(max_examples=15, deadline=None, phases=[Phase.reuse, Phase.generate])
@given(writes=st.lists(WRITES, min_size=3, max_size=8))
def test_search_stays_in_the_scope_whatever_was_written_replaced_and_deleted(
    lived_in: Store, writes: list[Write]
) -> None:
    example = next(EXAMPLES)
    world = World(lived_in)
    for write in writes:
        place = replace(write.place, tenant=f"{write.place.tenant}-{example}")
        world.apply(replace(write, place=place))
    for scope in SCOPES:
        own = replace(scope, tenant=f"{scope.tenant}-{example}")
        assert found(bm25(lived_in, "dogs", own)) == world.within(own)
        assert found(hybrid(lived_in, "dogs", own)) == world.within(own)
