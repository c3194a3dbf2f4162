"""Documents in and out, and what a crash or a failing part leaves behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from retrieval.catalogue import Catalogue, State
from retrieval.chunking import Chunker
from retrieval.documents import Document, Passage, Scope
from retrieval.edge_store import EdgeStore
from retrieval.embedding import HashEmbedder, Vectors
from retrieval.errors import DocumentNotFoundError, EmbeddingError, LoadingError, StoreError
from retrieval.ingest import Ingestor, Outcome, SourceFile
from retrieval.points import IndexManifest
from retrieval.retriever import HybridRetriever

SOURCE = "policies/bags.md"
INDEX = IndexManifest(embedder="hash", dimension=64)


class SwitchableEmbedder(HashEmbedder):
    """Fails while it is down; takes the process with it while it is interrupted."""

    is_down = False
    is_interrupted = False

    def embed(self, texts: Sequence[str]) -> Vectors:
        if self.is_interrupted:
            raise KeyboardInterrupt
        if self.is_down:
            raise EmbeddingError("the embedder is down")
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

    def put(self, text: str, source: str = SOURCE) -> tuple[Document, Outcome]:
        return self.ingestor.put(SourceFile(source, text.encode()))

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
    assert (second, outcome) == (first, Outcome.UNCHANGED)
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
    library.catalogue.add_pending(replace(live, generation=2, text="A bag costs 25 euros."))
    library.ingestor.recover()
    assert library.answers("bag") == ["A bag costs 25 euros."]
    assert library.store.count() == 1
    assert library.states() == {State.LIVE: ["A bag costs 25 euros."]}


def test_recover_finishes_a_generation_that_was_indexed_already(library: Library) -> None:
    live, _ = library.put("A bag costs 20 euros.")
    pending = replace(live, generation=2, text="A bag costs 25 euros.")
    library.catalogue.add_pending(pending)
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
    with pytest.raises(ValueError, match="cannot be cut"):
        library.put("An uncuttable text.", "a-first.md")
    library.put_interrupted("A bag costs 25 euros.")
    library.ingestor.recover()
    assert library.answers("bag") == ["A bag costs 25 euros."]


def test_reindex_into_an_empty_store_answers_as_before(library: Library, tmp_path: Path) -> None:
    library.put("A bag costs 20 euros.")
    library.put("A bag costs 25 euros.")
    library.put("# Heading alone", "empty.md")
    before = library.answers("bag")
    library.store = SwitchableStore(tmp_path / "rebuilt", INDEX)
    assert library.ingestor_into(library.store).reindex() == 2
    after = library.answers("bag")
    library.store.close()
    assert after == before == ["A bag costs 25 euros."]


def test_passages_of_a_document_are_those_that_answer(library: Library) -> None:
    document, _ = library.put("# Bags\n\nA bag costs 20 euros.\n\n## Dogs\n\nA dog costs 90.\n")
    texts = sorted(passage.text for passage in library.ingestor.passages(document))
    assert library.answers("bag dog costs") == texts == ["A bag costs 20 euros.", "A dog costs 90."]
