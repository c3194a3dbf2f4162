"""The stages over a real index, each followed by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from eval.beir import Dataset, Text, read_dataset
from eval.corpus_index import (
    COMPLETE,
    Pipeline,
    document_name,
    open_corpus_index,
    source_files,
)
from eval.errors import EvaluationError
from eval.measures import MEASURES
from eval.retrieval import Measured, measure
from eval.stage_report import summarise, summarise_all
from eval.stages import Stage, search_all
from retrieval.documents import Passage, Scope
from retrieval.embedding import HashEmbedder, Vectors
from retrieval.folder_index import FolderIndex
from retrieval.reranking import OverlapReranker, RerankError, Reranking
from tests.eval.beir_set import RANKS, SCORES, write_set

Item = TypeVar("Item")


def track(sequence: Iterable[Item], *, description: str) -> Iterable[Item]:
    return sequence


class CountingEmbedder(HashEmbedder):
    """Remembers how many texts it embedded."""

    def __init__(self) -> None:
        super().__init__()
        self.embedded = 0

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.embedded += len(texts)
        return super().embed(texts)


class BrokenReranker(OverlapReranker):
    def rerank(
        self, query: str, passages: Sequence[Passage], *, budget_ms: float = 0
    ) -> list[float]:
        raise RerankError("the reranker is down")


def pipeline(embedder: HashEmbedder | None = None) -> Pipeline:
    return Pipeline(
        embedder or HashEmbedder(), Reranking(OverlapReranker(), weight=1), 160, "english"
    )


def made_of(documents: dict[str, Text], query: str = "anchor") -> Dataset:
    right = next(iter(documents))
    return Dataset("made", documents, {"q": query}, {"q": {right: 1}}, 1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return read_dataset(write_set(tmp_path_factory.mktemp("sets") / "tiny"))


@pytest.fixture(scope="module")
def measured(dataset: Dataset) -> Measured:
    return measure(dataset, pipeline(), work=None, track=track)


def test_each_query_of_each_stage_has_the_rank_worked_out_by_hand(measured: Measured) -> None:
    for stage, ranks in RANKS.items():
        expected = [1 / rank if rank else 0 for rank in ranks]
        assert measured.scores[Stage(stage)]["MRR@10"].tolist() == expected, stage


def test_means_are_those_worked_out_by_hand(measured: Measured) -> None:
    summary = summarise([measured])

    assert summary.n == 5
    for stage, means in SCORES.items():
        for name in MEASURES:
            assert summary.estimates[Stage(stage)][name].value == pytest.approx(means[name])


def test_gains_are_over_the_stage_before(measured: Measured) -> None:
    summary = summarise([measured])
    steps, values, p = [], [], []
    for change in summary.changes:
        if change.measure == "MRR@10":
            steps.append((change.before, change.stage))
            values.append(change.test.difference.value)
            p.append(change.test.p)

    assert steps == [("bm25", "dense"), ("dense", "fused"), ("fused", "reranked")]
    # By query: dense - BM25 is 0, 0, -1/2, -1/2, 1, whose mean is 0, so all signs are as far;
    # fused - dense is 0, 0, 1/2, 1/2, 0, and 2 of the 4 choices of signs are as far;
    # reranked - fused differs for one query, and both signs are as far.
    assert values == pytest.approx([0, 0.2, -0.1])
    assert p == pytest.approx([1, 0.5, 1], abs=0.02)
    assert summary.change(Stage.BM25, "MRR@10") is None


def test_passages_are_counted_and_documents_without_a_word_have_none(measured: Measured) -> None:
    assert measured.passages == 4


def test_without_a_reranker_there_are_three_stages(dataset: Dataset) -> None:
    plain = Pipeline(HashEmbedder(), None, 160, "english")

    found = measure(dataset, plain, work=None, track=track)

    assert list(found.scores) == ["bm25", "dense", "fused"]


def test_legs_are_what_the_store_finds_by_itself(dataset: Dataset) -> None:
    def found(index: FolderIndex, text: str, vector: Vectors | None) -> list[str]:
        hits = index.store.search(text, vector, scope=Scope(), limit=50)
        return [document_name(hit.source) for hit in hits]

    with open_corpus_index(dataset, pipeline(), work=None, track=track) as index:
        rankings = search_all(index.retriever, dataset.queries.items(), list(Stage))
        for name, text in dataset.queries.items():
            vector = HashEmbedder().embed([text])[0]
            assert rankings[Stage.BM25][name] == found(index, text, None)
            assert rankings[Stage.FUSED][name] == found(index, text, vector)


def test_document_of_many_passages_has_the_rank_of_the_best() -> None:
    sections = "\n\n".join(f"## Part {n}\n\n" + "filler words " * 20 for n in range(5))
    long = Text("Long", f"{sections}\n\n## Last\n\nThe anchor weighs 9 kg.")
    made = made_of({"long": long, "short": Text("", "a chain and rope")})
    with open_corpus_index(made, pipeline(), work=None, track=track) as index:
        assert index.store.count() == 7
        found = search_all(index.retriever, made.queries.items(), list(Stage))

    assert all(ranking["q"][0] == "long" for ranking in found.values())
    assert sorted(found[Stage.DENSE]["q"]) == ["long", "short"]


def test_failing_part_is_not_measured_around(dataset: Dataset) -> None:
    broken = Pipeline(HashEmbedder(), Reranking(BrokenReranker()), 160, "english")

    with pytest.raises(EvaluationError, match="query 'same': the reranker failed"):
        measure(dataset, broken, work=None, track=track)


# Documents as they are indexed.


@pytest.mark.parametrize(
    ("document", "searchable"),
    [
        (Text("", "the anchor"), "the anchor"),  # the id is no title
        (Text("Ships", "the anchor"), "Ships\nthe anchor"),
        (Text("Of\nships ", "the anchor"), "Of ships\nthe anchor"),
        (Text("The anchor", "  "), "The anchor"),  # found by its title
    ],
)
def test_title_and_text_are_indexed_and_nothing_else(document: Text, searchable: str) -> None:
    made = made_of({"some/id-7": document})
    with open_corpus_index(made, pipeline(), work=None, track=track) as index:
        (hit,) = index.store.search("anchor", None, scope=Scope(), limit=9)
        rankings = search_all(index.retriever, made.queries.items(), [Stage.BM25])

    assert hit.passage.searchable == searchable
    assert rankings[Stage.BM25]["q"] == ["some/id-7"]


@pytest.mark.parametrize("document", [Text("", ""), Text(" ", "\n"), Text("-", "…")])
def test_document_without_a_word_is_left_out(document: Text) -> None:
    assert source_files(made_of({"blank": document})) == []


# The kept index.


def test_kept_index_is_not_embedded_again(dataset: Dataset, tmp_path: Path) -> None:
    first, second = CountingEmbedder(), CountingEmbedder()
    before = measure(dataset, pipeline(first), work=tmp_path, track=track)
    after = measure(dataset, pipeline(second), work=tmp_path, track=track)

    assert first.embedded == 4 + 5  # documents and queries
    assert second.embedded == 5
    for stage, scores in before.scores.items():
        for name in MEASURES:
            assert (scores[name] == after.scores[stage][name]).all()


def test_interrupted_index_goes_on_where_it_stopped(dataset: Dataset, tmp_path: Path) -> None:
    def stopping(sequence: Iterable[Item], *, description: str) -> Iterable[Item]:
        yield from list(sequence)[:3]
        raise KeyboardInterrupt

    first, second = CountingEmbedder(), CountingEmbedder()
    with pytest.raises(KeyboardInterrupt):
        measure(dataset, pipeline(first), work=tmp_path, track=stopping)
    assert list(tmp_path.glob(f"*/{COMPLETE}")) == []
    found = measure(dataset, pipeline(second), work=tmp_path, track=track)

    assert (first.embedded, second.embedded) == (3, 1 + 5)
    assert found.passages == 4


@pytest.mark.parametrize(
    "change",
    [
        lambda made, embedder: (made, Pipeline(embedder, None, 100, "english")),
        lambda made, embedder: (made, Pipeline(embedder, None, 160, "german")),
        lambda made, embedder: (made_of({"a": Text("", "b")}), pipeline(embedder)),
    ],
)
def test_index_of_other_passages_has_another_name(
    change: Callable[[Dataset, HashEmbedder], tuple[Dataset, Pipeline]],
) -> None:
    made, embedder = made_of({"a": Text("", "a")}), HashEmbedder()
    changed, changed_pipeline = change(made, embedder)

    assert changed_pipeline.index_name(changed) != pipeline(embedder).index_name(made)


def test_index_of_another_embedder_has_another_name() -> None:
    made, other = made_of({"a": Text("", "a")}), HashEmbedder()
    other.name = "other"

    assert pipeline(other).index_name(made) != pipeline().index_name(made)


def test_reranker_and_queries_change_no_index() -> None:
    made = made_of({"a": Text("", "a")})
    plain = Pipeline(HashEmbedder(), None, 160, "english")

    assert plain.index_name(made_of({"a": Text("", "a")}, "other")) == pipeline().index_name(made)


# Several sets.


def test_sets_that_trained_a_model_are_marked_and_left_out_of_a_second_mean(
    measured: Measured,
) -> None:
    sets = [
        replace(measured, dataset=replace(measured.dataset, name=name), trained_on=name == "seen")
        for name in ("seen", "new", "other")
    ]
    summaries = summarise_all(sets)

    assert [summary.label for summary in summaries] == [
        "seen (trained on)",
        "new",
        "other",
        "mean of 3 sets",
        "mean of 2 sets not trained on",
    ]
    assert [summary.n for summary in summaries] == [5, 5, 5, 15, 10]


def test_one_set_not_trained_on_needs_no_mean_of_its_own(measured: Measured) -> None:
    summaries = summarise_all([measured, replace(measured, trained_on=True)])

    assert [summary.label for summary in summaries][2:] == ["mean of 2 sets"]
