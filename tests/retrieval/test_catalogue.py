"""The catalogue's states, and who may see what."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import pytest
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from retrieval.catalogue import Catalogue
from retrieval.catalogue_table import State
from retrieval.documents import Document, Scope
from retrieval.errors import DocumentNotFoundError

DOCUMENT = Document(
    id="d1",
    title="Bags",
    text="# Bags\n\n€20 🐕\n",
    source="policies/bags.md",
    collection="policies",
    tenant="default",
    groups=("everyone", "staff"),
    sha256="0" * 64,
    generation=1,
    updated_at=datetime(2026, 3, 1, 12, 30, tzinfo=UTC),
)

READ = Catalogue._read_live_generations


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    catalogue = Catalogue(f"sqlite:///{tmp_path / 'documents.db'}")
    yield catalogue
    catalogue.close()


def make_live(catalogue: Catalogue, *documents: Document, passages: int = 1) -> None:
    documents = documents or (DOCUMENT,)
    catalogue.add_pending(documents)
    catalogue.make_live({(each.id, each.generation): passages for each in documents})


def states(catalogue: Catalogue) -> dict[State, list[int]]:
    return {state: [d.generation for d in catalogue.in_state(state)] for state in State}


def test_add_pending_document_does_not_answer(catalogue: Catalogue) -> None:
    catalogue.add_pending([DOCUMENT])
    assert states(catalogue) == {State.PENDING: [1], State.LIVE: [], State.DELETING: []}
    assert catalogue.find(["d1"]) == {}
    assert catalogue.live(Scope()) == []
    assert catalogue.live_generations(["d1"]) == {}
    assert catalogue.count() == 0


def test_add_pending_same_generation_twice_is_refused(catalogue: Catalogue) -> None:
    catalogue.add_pending([DOCUMENT])
    with pytest.raises(IntegrityError):
        catalogue.add_pending([replace(DOCUMENT, id="d2"), DOCUMENT])
    assert [document.id for document in catalogue.in_state(State.PENDING)] == ["d1"]  # or none


def test_make_live_document_answers_unchanged(catalogue: Catalogue) -> None:
    make_live(catalogue, passages=3)
    assert catalogue.find(["d1", "unknown"]) == {"d1": DOCUMENT}
    assert catalogue.live_generations(["d1", "unknown"]) == {"d1": 1}
    assert catalogue.passage_counts() == catalogue.passage_counts(["d1", "d2"]) == {"d1": 3}
    assert catalogue.passage_counts(["d2"]) == {}
    assert catalogue.count() == 1


def test_make_live_replacement_retires_the_generation_before_it(catalogue: Catalogue) -> None:
    make_live(catalogue)
    second = replace(DOCUMENT, generation=2, text="new")
    catalogue.add_pending([second])
    assert catalogue.find(["d1"]) == {"d1": DOCUMENT}  # until the switch, the old one answers
    catalogue.make_live({("d1", 2): 1})
    assert catalogue.find(["d1"]) == {"d1": second}
    assert catalogue.retired() == [("d1", 1)]
    assert states(catalogue) == {State.PENDING: [], State.LIVE: [2], State.DELETING: [1]}


def test_make_live_of_what_was_retired_meanwhile_leaves_it_retired(catalogue: Catalogue) -> None:
    catalogue.add_pending([DOCUMENT])
    catalogue.retire("d1")
    catalogue.make_live({("d1", 1): 1})
    assert states(catalogue) == {State.PENDING: [], State.LIVE: [], State.DELETING: [1]}


def test_make_live_of_a_live_generation_counts_its_passages_anew(catalogue: Catalogue) -> None:
    make_live(catalogue, passages=3)
    catalogue.make_live({("d1", 1): 5})
    assert catalogue.passage_counts() == {"d1": 5}
    assert catalogue.retired() == []


def test_retire_live_document_stops_it_from_answering(catalogue: Catalogue) -> None:
    make_live(catalogue)
    catalogue.add_pending([replace(DOCUMENT, generation=2)])
    catalogue.retire("d1")
    assert catalogue.find(["d1"]) == {}
    assert catalogue.passage_counts() == {}
    assert catalogue.retired() == [("d1", 1), ("d1", 2)]


def test_retire_unknown_document_changes_nothing(catalogue: Catalogue) -> None:
    catalogue.retire("unknown")
    assert catalogue.retired() == []


def test_abandon_leaves_what_answers(catalogue: Catalogue) -> None:
    make_live(catalogue)
    catalogue.add_pending([replace(DOCUMENT, generation=2)])
    catalogue.abandon([("d1", 2)])
    assert catalogue.find(["d1"]) == {"d1": DOCUMENT}
    assert catalogue.retired() == [("d1", 2)]


def test_forget_drops_one_generation_alone(catalogue: Catalogue) -> None:
    make_live(catalogue)
    make_live(catalogue, replace(DOCUMENT, generation=2))
    catalogue.forget([("d1", 1)])
    assert states(catalogue) == {State.PENDING: [], State.LIVE: [2], State.DELETING: []}


def test_last_generation_is_the_highest_on_record_in_any_state(catalogue: Catalogue) -> None:
    assert catalogue.last_generations(["d1"]) == {}
    make_live(catalogue)
    assert catalogue.last_generations(["d1", "other"]) == {"d1": 1}
    catalogue.add_pending([replace(DOCUMENT, generation=5)])
    assert catalogue.last_generations(["d1"]) == {"d1": 5}


def test_akin_are_live_generations_of_the_same_document_or_content(catalogue: Catalogue) -> None:
    other = "1" * 64
    make_live(catalogue, passages=3)
    make_live(
        catalogue,
        replace(DOCUMENT, id="copy", collection="notices"),
        replace(DOCUMENT, id="stranger", sha256=other),
        replace(DOCUMENT, id="foreign", tenant="other"),
    )
    catalogue.add_pending([replace(DOCUMENT, id="pending")])
    changed = replace(DOCUMENT, generation=2, sha256="2" * 64)
    assert catalogue.akin([changed]) == {("d1", 1): 3}
    assert catalogue.akin([replace(DOCUMENT, id="new")]) == {("d1", 1): 3, ("copy", 1): 1}
    assert catalogue.akin([]) == {}


def test_keep_notes_bytes_and_place_alone(catalogue: Catalogue) -> None:
    make_live(catalogue)
    catalogue.keep(replace(DOCUMENT, sha256="1" * 64, origin="/docs/bags.md", text="not this"))
    assert catalogue.find(["d1"]) == {
        "d1": replace(DOCUMENT, sha256="1" * 64, origin="/docs/bags.md")
    }


def test_revision_changes_with_what_answers(catalogue: Catalogue) -> None:
    seen = [catalogue.revision]
    make_live(catalogue)
    seen.append(catalogue.revision)
    catalogue.add_pending([replace(DOCUMENT, generation=2)])
    assert catalogue.revision == seen[-1]
    catalogue.make_live({("d1", 2): 1})
    seen.append(catalogue.revision)
    catalogue.retire("d1")
    seen.append(catalogue.revision)
    assert len(set(seen)) == 4


def test_live_generations_are_read_when_opened_and_then_what_changes_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'documents.db'}"
    with closing(Catalogue(url)) as before:
        make_live(before, DOCUMENT, replace(DOCUMENT, id="d2"))
    with (
        closing(Catalogue(url)) as catalogue,
        patch.object(
            Catalogue, "_read_live_generations", autospec=True, side_effect=READ
        ) as reading,
    ):

        def read() -> list[Sequence[str]]:
            asked = [call.args[1] for call in reading.call_args_list]
            reading.reset_mock()
            return asked

        assert catalogue.live_generations(["d1", "d2"]) == {"d1": 1, "d2": 1}
        assert read() == []
        for _ in range(2):
            assert catalogue.live_generations(["d1", "unknown"]) == {"d1": 1}
        assert read() == [["unknown"]]
        make_live(catalogue, replace(DOCUMENT, id="unknown", generation=7))
        catalogue.retire("d1")
        for _ in range(2):
            assert catalogue.live_generations(["d1", "d2", "unknown"]) == {"d2": 1, "unknown": 7}
        assert read() == [["d1", "unknown"]]
        catalogue.add_pending([replace(DOCUMENT, id="d2", generation=2)])
        assert catalogue.live_generations(["d2"]) == {"d2": 1}
        catalogue.make_live({("d2", 2): 1})
        assert catalogue.live_generations(["d2"]) == {"d2": 2}
        assert read() == [["d2"]]


def test_changes_at_the_same_time_forget_what_each_changed(catalogue: Catalogue) -> None:
    make_live(catalogue, *(replace(DOCUMENT, id=f"d{number}") for number in range(40)))
    names = [f"d{number}" for number in range(40)]
    assert len(catalogue.live_generations(names)) == 40

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(catalogue.retire, names))

    assert catalogue.live_generations(names) == {}


def test_generation_that_was_read_while_it_was_retired_is_not_remembered(
    catalogue: Catalogue,
) -> None:
    make_live(catalogue)

    def retired_meanwhile(self: Catalogue, ids: Sequence[str]) -> dict[str, int]:
        found = READ(self, ids)
        self.retire("d1")
        return found

    catalogue.make_live({("d1", 1): 1})  # forgotten, and to be read
    with patch.object(Catalogue, "_read_live_generations", retired_meanwhile):
        assert catalogue.live_generations(["d1"]) == {"d1": 1}
    assert catalogue.live_generations(["d1"]) == {}


def test_failed_change_leaves_what_answers(catalogue: Catalogue) -> None:
    make_live(catalogue)
    assert catalogue.live_generations(["d1"]) == {"d1": 1}
    with pytest.raises(SQLAlchemyError):
        catalogue.make_live({("d1", 2): object()})  # type: ignore[dict-item]
    assert catalogue.live_generations(["d1"]) == {"d1": 1}


@pytest.mark.parametrize(
    "scope",
    [
        Scope(),
        Scope(groups=("staff",)),
        Scope(groups=("strangers", "staff"), collections=("notices", "policies")),
    ],
)
def test_get_from_a_scope_that_may_see_it_returns_it(catalogue: Catalogue, scope: Scope) -> None:
    make_live(catalogue)
    assert catalogue.get("d1", scope) == DOCUMENT
    assert catalogue.live(scope) == [DOCUMENT]


@pytest.mark.parametrize(
    "scope",
    [
        Scope(tenant="other"),
        Scope(groups=("strangers",)),
        Scope(groups=()),
        Scope(collections=("notices",)),
    ],
)
def test_get_from_a_scope_that_may_not_see_it_says_there_is_none(
    catalogue: Catalogue, scope: Scope
) -> None:
    make_live(catalogue)
    assert catalogue.live(scope) == []
    with pytest.raises(DocumentNotFoundError) as hidden:
        catalogue.get("d1", scope)
    with pytest.raises(DocumentNotFoundError) as missing:
        catalogue.get("d2", scope)
    assert str(hidden.value).replace("d1", "d2") == str(missing.value)  # tells nothing apart


def test_live_documents_come_by_collection_and_source(catalogue: Catalogue) -> None:
    make_live(
        catalogue,
        *(
            replace(DOCUMENT, id=collection + source, collection=collection, source=source)
            for collection, source in (("b", "1"), ("a", "2"), ("a", "1"))
        ),
    )
    assert [d.id for d in catalogue.live(Scope())] == ["a1", "a2", "b1"]


def test_catalogue_opened_again_keeps_rows_and_time_zone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'documents.db'}"
    first = Catalogue(url)
    make_live(first)
    first.close()
    second = Catalogue(url)
    found = second.find(["d1"])
    second.close()
    assert found == {"d1": DOCUMENT}


def test_catalogue_of_an_earlier_version_is_completed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'documents.db'}"
    first = Catalogue(url)
    make_live(first)
    first.close()
    with sqlite3.connect(tmp_path / "documents.db") as connection:
        connection.execute("DROP INDEX ix_documents_sha256")
        connection.execute("ALTER TABLE documents DROP COLUMN origin")
    connection.close()
    second = Catalogue(url)
    found = second.find(["d1"])
    second.close()
    assert found == {"d1": DOCUMENT}


def test_catalogue_on_sqlite_writes_ahead(catalogue: Catalogue, tmp_path: Path) -> None:
    make_live(catalogue)
    connection = sqlite3.connect(tmp_path / "documents.db")
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    connection.close()
    assert mode == "wal"


def test_document_without_groups_is_seen_by_nobody(catalogue: Catalogue) -> None:
    make_live(catalogue, replace(DOCUMENT, groups=()))
    assert catalogue.live(Scope()) == []
