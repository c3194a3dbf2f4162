"""Documents in and out, and what a crash or a failing part leaves behind."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retrieval import indexing, ingest
from retrieval.catalogue import Catalogue
from retrieval.catalogue_table import State
from retrieval.chunking import Chunker
from retrieval.documents import Document, Passage, Scope
from retrieval.edge_store import EdgeStore
from retrieval.embedding import HashEmbedder, Vectors
from retrieval.errors import (
    DocumentNotFoundError,
    EmbeddingError,
    IngestStoppedError,
    LoadingError,
    StoreError,
)
from retrieval.ingest import Ingested, Ingestor, Outcome, SourceFile
from retrieval.points import IndexManifest
from retrieval.retriever import HybridRetriever

SOURCE = "policies/bags.md"
INDEX = IndexManifest(embedder="hash", dimension=64)


class SwitchableEmbedder(HashEmbedder):
    """Fails while it is down; takes the process with it while it is interrupted.

    Remembers what it embedded; does `before` first.
    """

    is_down = False
    is_interrupted = False

    def __init__(self) -> None:
        super().__init__()
        self.embedded: list[str] = []
        self.before: Callable[[], None] = lambda: None

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.before()
        if self.is_interrupted:
            raise KeyboardInterrupt
        if self.is_down or any("unembeddable" in text for text in texts):
            raise EmbeddingError("the embedder is down")
        self.embedded += texts
        return super().embed(texts)


class SwitchableStore(EdgeStore):
    """Cannot delete while it is stuck."""

    is_stuck = False

    def delete(self, document_id: str, *, generation: int | None = None) -> None:
        if self.is_stuck:
            raise StoreError("the store is stuck")
        super().delete(document_id, generation=generation)


class FussyChunker(Chunker):
    """Stands for any fault in the parsing of one text."""

    def chunk(self, document: Document) -> list[Passage]:
        if "uncuttable" in document.text:
            raise ValueError("cannot be cut")
        return super().chunk(document)


class Library:
    """A catalogue, a store and their ingestor in one folder."""

    def __init__(self, folder: Path, store: SwitchableStore) -> None:
        self.embedder = SwitchableEmbedder()
        self.catalogue = Catalogue(f"sqlite:///{folder / 'documents.db'}")
        self.store = store
        self.chunker = FussyChunker(self.embedder.tokenizer, max_tokens=32)
        self.ingestor = self.ingestor_into(self.store)

    def ingestor_into(self, store: EdgeStore) -> Ingestor:
        return Ingestor(
            catalogue=self.catalogue, store=store, embedder=self.embedder, chunker=self.chunker
        )

    def put(self, text: str, source: str = SOURCE, **more: Any) -> tuple[Document, Outcome]:
        return self.ingestor.put(SourceFile(source, text.encode(), **more))

    def put_all(self, texts: Mapping[str, str]) -> list[Ingested]:
        """By source."""
        files = [SourceFile(source, text.encode()) for source, text in texts.items()]
        return list(self.ingestor.put_all(files))

    def embeds(self, text: str, source: str = SOURCE) -> list[str]:
        """Last lines of what putting the text embeds."""
        self.embedder.embedded.clear()
        self.put(text, source)
        return sorted(each.splitlines()[-1] for each in self.embedder.embedded)

    def put_while_down(self, text: str, source: str = SOURCE) -> None:
        self.embedder.is_down = True
        with pytest.raises(EmbeddingError):
            self.put(text, source)
        self.embedder.is_down = False

    def put_interrupted(self, text: str, source: str = SOURCE) -> None:
        """As by Ctrl+C, or a kill: nothing is cleaned up."""
        self.embedder.is_interrupted = True
        with pytest.raises(KeyboardInterrupt):
            self.put(text, source)
        self.embedder.is_interrupted = False

    def answers(self, query: str) -> list[str]:
        """The texts found, in alphabetical order."""
        retriever = HybridRetriever(
            embedder=self.embedder, store=self.store, catalogue=self.catalogue
        )
        found = retriever.search(query, 10, Scope()).passages
        return sorted(hit.passage.text for hit in found)

    def states(self) -> dict[State, list[str]]:
        return {
            state: [document.text.strip() for document in found]
            for state in State
            if (found := self.catalogue.in_state(state))
        }


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwitchableStore]:
    """Making a shard takes long, so the tests share one."""
    store = SwitchableStore(tmp_path_factory.mktemp("shard") / "index", INDEX)
    yield store
    store.close()


@pytest.fixture
def library(tmp_path: Path, shard: SwitchableStore) -> Iterator[Library]:
    """Empty; its passages are removed after the test."""
    library = Library(tmp_path, shard)
    yield library
    library.catalogue.close()
    shard.is_stuck = False
    for tenant in ("default", "other"):
        scope = Scope(tenant=tenant, groups=("everyone", "staff", "legal"))
        vector = HashEmbedder().embed(["anything"])[0]
        for hit in shard.search("anything", vector, scope=scope, limit=100):
            shard.delete(hit.passage.document_id)
    assert shard.count() == 0


def document_id(source: str = SOURCE) -> str:
    return SourceFile(source, b"").document_id


def test_put_new_file_is_added_and_answers(library: Library) -> None:
    document, outcome = library.put("# Bags\n\nA bag costs 20 euros.\n")
    assert outcome is Outcome.ADDED
    assert (document.title, document.generation, document.collection) == ("Bags", 1, "documents")
    assert library.answers("bag costs") == ["A bag costs 20 euros."]
    assert library.catalogue.passage_counts() == {document.id: 1}


def test_put_same_content_again_is_unchanged(library: Library) -> None:
    first, _ = library.put("A bag costs 20 euros.")
    second, outcome = library.put("A bag costs 20 euros.\r\n")  # the same text once loaded
    assert outcome is Outcome.UNCHANGED
    assert second == replace(first, sha256=second.sha256)
    assert second.sha256 == hashlib.sha256(b"A bag costs 20 euros.\r\n").hexdigest()
    assert library.catalogue.find([first.id]) == {first.id: second}
    assert library.store.count() == 1


def test_put_unchanged_file_does_not_need_the_embedder(library: Library) -> None:
    library.put("A bag costs 20 euros.")
    library.embedder.is_down = True
    assert library.put("A bag costs 20 euros.")[1] is Outcome.UNCHANGED


def test_put_changed_content_replaces_the_text_and_keeps_the_id(library: Library) -> None:
    first, _ = library.put("A bag costs 20 euros.")
    second, outcome = library.put("A bag costs 25 euros.")
    assert outcome is Outcome.UPDATED
    assert (second.id, second.generation) == (first.id, 2)
    assert library.answers("bag costs") == ["A bag costs 25 euros."]
    assert library.store.count() == 1
    assert library.states() == {State.LIVE: ["A bag costs 25 euros."]}


def test_put_changed_groups_moves_the_document_out_of_sight(library: Library) -> None:
    library.put("A bag costs 20 euros.")
    file = SourceFile(SOURCE, b"A bag costs 20 euros.", groups=("staff",))
    assert library.ingestor.put(file)[1] is Outcome.UPDATED
    assert library.answers("bag costs") == []


def test_put_same_groups_in_another_order_is_unchanged(library: Library) -> None:
    library.ingestor.put(SourceFile(SOURCE, b"bags", groups=("staff", "legal")))
    file = SourceFile(SOURCE, b"bags", groups=("legal", "staff"))
    assert library.ingestor.put(file)[1] is Outcome.UNCHANGED


def test_put_same_source_elsewhere_is_another_document(library: Library) -> None:
    files = [
        SourceFile(SOURCE, b"bags"),
        SourceFile(SOURCE, b"bags", collection="notices"),
        SourceFile(SOURCE, b"bags", tenant="other"),
    ]
    ids = {library.ingestor.put(file)[0].id for file in files}
    assert len(ids) == 3
    assert library.catalogue.count() == 3


def test_put_unreadable_file_changes_nothing(library: Library) -> None:
    library.put("A bag costs 20 euros.")
    with pytest.raises(LoadingError):
        library.ingestor.put(SourceFile(SOURCE, b"\xff\xfe"))
    assert library.answers("bag") == ["A bag costs 20 euros."]
    assert library.states() == {State.LIVE: ["A bag costs 20 euros."]}


def test_put_while_the_embedder_is_down_leaves_the_old_text_answering(library: Library) -> None:
    library.put("A bag costs 20 euros.")
    library.put_while_down("A bag costs 25 euros.")
    assert library.answers("bag") == ["A bag costs 20 euros."]


def test_put_whose_old_passages_cannot_be_removed_answers_with_the_new_alone(
    library: Library,
) -> None:
    library.put("A bag costs 20 euros.")
    library.store.is_stuck = True
    with pytest.raises(StoreError):
        library.put("A bag costs 25 euros.")
    assert library.store.count() == 2
    assert library.answers("bag") == ["A bag costs 25 euros."]
    library.store.is_stuck = False
    library.ingestor.recover()
    assert library.store.count() == 1


def test_delete_document_stops_answering_and_leaves_nothing(library: Library) -> None:
    library.put("A bag costs 20 euros.")
    library.put("Dogs are welcome.", "dogs.md")
    library.ingestor.delete(document_id(), Scope())
    assert library.answers("bag costs") == ["Dogs are welcome."]
    assert library.store.count() == 1
    assert library.states() == {State.LIVE: ["Dogs are welcome."]}


def test_delete_whose_passages_cannot_be_removed_stops_answering(library: Library) -> None:
    library.put("A bag costs 20 euros.")
    library.store.is_stuck = True
    with pytest.raises(StoreError):
        library.ingestor.delete(document_id(), Scope())
    assert library.answers("bag") == []
    library.store.is_stuck = False
    library.ingestor.recover()
    assert library.store.count() == 0
    assert library.states() == {}


@pytest.mark.parametrize(
    "scope", [Scope(tenant="other"), Scope(groups=("strangers",)), Scope(collections=("notices",))]
)
def test_delete_from_outside_the_scope_is_refused(library: Library, scope: Scope) -> None:
    library.put("A bag costs 20 euros.")
    with pytest.raises(DocumentNotFoundError):
        library.ingestor.delete(document_id(), scope)
    assert library.answers("bag") == ["A bag costs 20 euros."]


def test_delete_and_put_again_is_added_anew(library: Library) -> None:
    first, _ = library.put("A bag costs 20 euros.")
    library.ingestor.delete(first.id, Scope())
    second, outcome = library.put("A bag costs 25 euros.")
    assert (second.id, outcome) == (first.id, Outcome.ADDED)
    assert library.answers("bag") == ["A bag costs 25 euros."]


# After a crash.


def test_recover_finishes_a_generation_that_was_never_indexed(library: Library) -> None:
    live, _ = library.put("A bag costs 20 euros.")
    library.catalogue.add_pending([replace(live, generation=2, text="A bag costs 25 euros.")])
    library.ingestor.recover()
    assert library.answers("bag") == ["A bag costs 25 euros."]
    assert library.store.count() == 1
    assert library.states() == {State.LIVE: ["A bag costs 25 euros."]}


def test_recover_finishes_a_generation_that_was_indexed_already(library: Library) -> None:
    live, _ = library.put("A bag costs 20 euros.")
    pending = replace(live, generation=2, text="A bag costs 25 euros.")
    library.catalogue.add_pending([pending])
    passages: list[Passage] = library.ingestor.passages(pending)
    vectors = library.embedder.embed([passage.searchable for passage in passages])
    library.store.upsert(pending, passages, vectors)
    assert library.answers("bag") == ["A bag costs 20 euros."]  # pending ones do not answer
    library.ingestor.recover()
    assert library.answers("bag") == ["A bag costs 25 euros."]
    assert library.store.count() == 1


def test_recover_removes_what_was_being_deleted(library: Library) -> None:
    document, _ = library.put("A bag costs 20 euros.")
    library.catalogue.retire(document.id)
    assert library.store.count() == 1
    library.ingestor.recover()
    assert library.store.count() == 0
    assert library.states() == {}


def test_recover_with_nothing_left_over_changes_nothing(library: Library) -> None:
    library.put("A bag costs 20 euros.")
    library.ingestor.recover()
    assert library.answers("bag") == ["A bag costs 20 euros."]


def test_recover_does_not_put_a_failed_version_before_a_later_one(library: Library) -> None:
    library.put("A bag costs 20 euros.")
    library.put_interrupted("A bag costs 25 euros.")
    library.put("A bag costs 30 euros.")
    library.ingestor.recover()
    assert library.answers("bag") == ["A bag costs 30 euros."]


def test_recover_does_not_bring_back_a_deleted_document(library: Library) -> None:
    library.put("A bag costs 20 euros.")
    library.put_interrupted("A bag costs 25 euros.")
    library.ingestor.delete(document_id(), Scope())
    library.ingestor.recover()
    assert library.answers("bag") == []


def test_recover_past_a_document_that_cannot_be_cut_finishes_the_others(library: Library) -> None:
    live, _ = library.put("A first text.", "a-first.md")
    library.catalogue.add_pending([replace(live, generation=2, text="An uncuttable text.")])
    library.put_interrupted("A bag costs 25 euros.")
    library.ingestor.recover()
    assert library.answers("bag") == ["A bag costs 25 euros.", "A first text."]


def test_recover_past_a_text_that_cannot_be_embedded_finishes_the_others(
    library: Library,
) -> None:
    live, _ = library.put("A first text.", "a-first.md")
    library.catalogue.add_pending([replace(live, generation=2, text="An unembeddable text.")])
    library.put_interrupted("A bag costs 25 euros.")
    library.ingestor.recover()
    assert library.answers("bag") == ["A bag costs 25 euros.", "A first text."]


def test_recover_takes_the_last_of_two_interrupted_contents(library: Library) -> None:
    library.put_interrupted("A bag costs 20 euros.")
    library.put_interrupted("A bag costs 25 euros.")
    library.ingestor.recover()
    assert library.states() == {State.LIVE: ["A bag costs 25 euros."]}
    assert library.store.count() == 1


# An index that lost something.


LONG = "# Bags\n\n" + "".join(
    f"## Rule {n}\n\nBag number {n} costs {n} euros.\n\n" for n in range(6)
)


def test_recover_into_an_empty_store_answers_as_before(library: Library, tmp_path: Path) -> None:
    library.put("A bag costs 20 euros.")
    library.put("A bag costs 25 euros.")
    library.put("# Heading alone", "empty.md")
    before = library.answers("bag")
    library.store = SwitchableStore(tmp_path / "rebuilt", INDEX)
    library.ingestor_into(library.store).recover()
    after = library.answers("bag")
    library.store.close()
    assert after == before == ["A bag costs 25 euros."]


def test_recover_indexes_a_lost_document_alone(library: Library) -> None:
    library.put(LONG)
    lost, _ = library.put("Dogs are welcome.", "dogs.md")
    library.store.delete(lost.id)
    library.embedder.embedded.clear()
    library.ingestor.recover()
    assert library.embedder.embedded == ["dogs\nDogs are welcome."]
    assert library.store.counts() == library.catalogue.passage_counts()


def test_recover_removes_passages_that_no_document_has(library: Library) -> None:
    stray, _ = library.put("A bag costs 20 euros.")
    library.put("Dogs are welcome.", "dogs.md")
    library.catalogue.forget([(stray.id, stray.generation)])
    library.ingestor.recover()
    assert library.store.counts() == library.catalogue.passage_counts()
    assert library.answers("bag") == ["Dogs are welcome."]


def test_recover_of_a_shared_store_removes_nothing_but_completes(library: Library) -> None:
    stray, _ = library.put("A bag costs 20 euros.")
    lost, _ = library.put("Dogs are welcome.", "dogs.md")
    library.catalogue.forget([(stray.id, stray.generation)])
    library.store.delete(lost.id)
    sharing = Ingestor(
        catalogue=library.catalogue,
        store=library.store,
        embedder=library.embedder,
        chunker=library.chunker,
        shared_store=True,
    )
    sharing.recover()
    assert library.store.counts() == {stray.id: 1, lost.id: 1}
    assert library.answers("bag") == ["Dogs are welcome."]


def test_recover_makes_a_document_with_too_many_passages_anew(library: Library) -> None:
    live, _ = library.put("A bag costs 20 euros.")
    doubled = replace(live, generation=7)
    passages = library.ingestor.passages(doubled)
    library.store.upsert(doubled, passages, library.embedder.embed([passages[0].searchable]))
    assert library.store.count() == 2
    library.ingestor.recover()
    assert library.store.count() == 1
    assert library.answers("bag") == ["A bag costs 20 euros."]


def test_recover_without_the_embedder_leaves_the_loss_for_the_next_time(library: Library) -> None:
    lost, _ = library.put("A bag costs 20 euros.")
    library.put("Dogs are welcome.", "dogs.md")
    library.store.delete(lost.id)
    library.embedder.is_down = True
    library.ingestor.recover()
    assert library.answers("dogs") == ["Dogs are welcome."]
    library.embedder.is_down = False
    library.ingestor.recover()
    assert library.answers("bag") == ["A bag costs 20 euros.", "Dogs are welcome."]


# What is not embedded again.


def test_changed_document_embeds_its_changed_passages_alone(library: Library) -> None:
    library.put(LONG)
    changed = LONG.replace("Bag number 3 costs 3 euros.", "Bag number 3 is free.")
    assert library.embeds(changed) == ["Bag number 3 is free."]
    assert "Bag number 3 is free." in library.answers("bag")
    assert len(library.answers("bag")) == library.store.count() == 6


def test_passage_that_moved_in_its_document_keeps_its_vector(library: Library) -> None:
    library.put(LONG)
    assert library.embeds("# Bags\n\nNew first.\n\n" + LONG.removeprefix("# Bags\n\n")) == [
        "New first."
    ]


def test_reused_vectors_are_those_that_embedding_gives(library: Library) -> None:
    library.put(LONG)
    document, _ = library.put(LONG + "## More\n\nAnd a last one.\n")
    passages = library.ingestor.passages(document)
    stored = library.store.vectors([passage.id for passage in passages])
    for passage in passages:
        (vector,) = library.embedder.embed([passage.searchable])
        assert stored[passage.searchable].tobytes() == vector.tobytes()


def test_changed_title_embeds_everything(library: Library) -> None:
    library.put(LONG)
    assert len(library.embeds(LONG.replace("# Bags", "# Luggage"))) == 6


def test_changed_groups_embed_nothing(library: Library) -> None:
    library.put(LONG)
    library.embedder.embedded.clear()
    assert library.put(LONG, groups=("staff",))[1] is Outcome.UPDATED
    assert library.embedder.embedded == []


@pytest.mark.parametrize("elsewhere", [{}, {"collection": "notices"}])
def test_same_content_under_another_source_embeds_nothing(
    library: Library, elsewhere: dict[str, str]
) -> None:
    library.put(LONG)
    library.embedder.embedded.clear()
    document, outcome = library.put(LONG, "renamed.md", **elsewhere)
    assert outcome is Outcome.ADDED
    assert document.id != document_id()
    assert library.embedder.embedded == []
    assert library.store.count() == 12


def test_same_content_of_another_tenant_is_embedded(library: Library) -> None:
    library.put("A bag costs 20 euros.")
    library.embedder.embedded.clear()
    library.put("A bag costs 20 euros.", tenant="other")
    assert len(library.embedder.embedded) == 1


def test_same_text_twice_is_embedded_once(library: Library) -> None:
    same = "# Same\n\nBags are checked in.\n"
    library.put_all({"a.md": same, "b.md": same})
    assert library.embedder.embedded == ["Same\nBags are checked in."]
    assert library.store.count() == 2


def test_interrupted_document_keeps_the_vectors_that_it_has(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "SLICE", 2)

    def interrupt_third() -> None:
        library.embedder.is_interrupted = len(library.embedder.embedded) == 4

    library.embedder.before = interrupt_third
    with pytest.raises(KeyboardInterrupt):
        library.put(LONG)
    library.embedder.before = lambda: None
    library.embedder.is_interrupted = False
    library.ingestor.recover()
    assert len(library.embedder.embedded) == len(set(library.embedder.embedded)) == 6
    assert len(library.answers("bag")) == 6


# Many together.


def test_put_all_embeds_passages_of_several_documents_together(library: Library) -> None:
    calls: list[int] = []
    library.embedder.before = lambda: calls.append(len(library.embedder.embedded))
    done = library.put_all({f"{n}.md": f"Bag number {n} costs {n} euros." for n in range(20)})
    assert [each.outcome for each in done] == [Outcome.ADDED] * 20
    assert [each.file.source for each in done] == [f"{n}.md" for n in range(20)]
    assert calls == [0]
    assert library.store.count() == 20


def test_put_all_with_one_document_twice_keeps_the_later(library: Library) -> None:
    files = [SourceFile(SOURCE, text) for text in (b"Bags: 20.", b"Bags: 25.", b"Bags: 25.")]
    done = list(library.ingestor.put_all(files))
    assert [each.outcome for each in done] == [Outcome.ADDED, Outcome.UPDATED, Outcome.UNCHANGED]
    assert library.answers("bags") == ["Bags: 25."]


def test_put_all_reports_what_cannot_be_read_and_goes_on(library: Library) -> None:
    library.put("A bag costs 20 euros.")
    files = {SOURCE: b"\xff\xfe", "b.exe": b"MZ", "c.md": b"An uncuttable text.", "d.md": b"Dogs."}
    done = list(library.ingestor.put_all(SourceFile(name, text) for name, text in files.items()))
    failed, good = done[:3], done[3]
    assert good.outcome is Outcome.ADDED
    assert all(each.outcome is Outcome.FAILED for each in failed)
    assert all(each.file.source in str(each.error) for each in failed)
    assert [each.document is not None for each in failed] == [True, False, False]
    assert library.answers("bag") == ["A bag costs 20 euros.", "Dogs."]


def test_put_all_keeps_the_windows_before_an_error(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "WINDOW_CHARS", 1)
    with pytest.raises(EmbeddingError):
        library.put_all({"a.md": "Bags.", "b.md": "An unembeddable text.", "c.md": "Dogs."})
    assert library.states() == {State.LIVE: ["Bags."]}
    assert library.store.count() == 1


def test_deleted_while_it_is_replaced_stays_deleted(library: Library) -> None:
    """The delete does not wait for the embedder before the document stops answering."""
    library.put("A bag costs 20 euros.")
    seen: list[list[str]] = []
    deleting = threading.Thread(target=library.ingestor.delete, args=(document_id(), Scope()))

    def delete_meanwhile() -> None:
        library.embedder.before = lambda: None
        deleting.start()
        while library.catalogue.find([document_id()]):
            pass
        seen.append(library.answers("bag"))

    library.embedder.before = delete_meanwhile
    library.put("A bag costs 25 euros.")
    deleting.join()
    assert seen == [[]]
    assert library.answers("bag") == []
    assert library.states() == {}
    assert library.store.count() == 0


def test_stop_ends_the_writing_and_recover_finishes_it(library: Library) -> None:
    number = indexing.SLICE + 1
    stopping = threading.Thread(target=library.ingestor.stop)

    def stop_meanwhile() -> None:
        stopping.start()
        stopping.join(0.2)  # it waits for the slice

    library.embedder.before = stop_meanwhile
    with pytest.raises(IngestStoppedError):
        library.put_all({f"{n}.md": f"Bag number {n}." for n in range(number)})
    stopping.join()
    library.embedder.before = lambda: None
    assert library.answers("bag") == []
    assert library.store.count() == indexing.SLICE
    library.ingestor_into(library.store).recover()
    assert library.store.count() == library.catalogue.count() == number


def test_origin_is_kept_by_an_upload_and_follows_the_file(library: Library) -> None:
    first, _ = library.put("A bag costs 20 euros.", origin="/old/bags.md")
    same, outcome = library.put("A bag costs 20 euros.", origin="/new/bags.md")
    uploaded, _ = library.put("A bag costs 25 euros.")
    assert outcome is Outcome.UNCHANGED
    assert [each.origin for each in (first, same, uploaded)] == [
        "/old/bags.md",
        "/new/bags.md",
        "/new/bags.md",
    ]
    assert library.catalogue.find([first.id]) == {first.id: uploaded}


def test_passages_of_a_document_are_those_that_answer(library: Library) -> None:
    document, _ = library.put("# Bags\n\nA bag costs 20 euros.\n\n## Dogs\n\nA dog costs 90.\n")
    texts = sorted(passage.text for passage in library.ingestor.passages(document))
    assert library.answers("bag dog costs") == texts == ["A bag costs 20 euros.", "A dog costs 90."]
