"""Which words of the retrieved passages bear on the question, and in which order passages come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrieval.documents import ScoredPassage
from retrieval.embedding import HashEmbedder, Vectors
from retrieval.errors import EmbeddingError
from retrieval.onnx_embedder import OnnxEmbedder
from serving.evidence import (
    MAX_UNITS,
    PASSAGES_READ,
    SUPPORT_WEIGHT,
    EvidenceFinder,
)
from starter import bundle
from tests.serving.test_citations import hit

QUESTION = "What does a second suitcase cost?"
BAGS = "A suitcase may weigh 23 kg. A second suitcase costs 60 euros."
PETS = "A cat may fly. Its carrier weighs 8 kg."


class CountingEmbedder(HashEmbedder):
    def __init__(self) -> None:
        super().__init__(dimension=256)
        self.batches: list[int] = []

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.batches.append(len(texts))
        return super().embed(texts)


class BrokenEmbedder(HashEmbedder):
    def embed(self, texts: Sequence[str]) -> Vectors:
        raise EmbeddingError("switched off")


def vector(text: str = QUESTION) -> Vectors:
    embedded: Vectors = HashEmbedder(256).embed([text])[0]
    return embedded


def passages() -> list[ScoredPassage]:
    return [hit(PETS, title="Pets"), hit(BAGS, title="Bags")]


def test_best_supported_passage_comes_first_with_its_evidence() -> None:
    ordered, evidence = EvidenceFinder(CountingEmbedder()).find(QUESTION, vector(), passages())

    assert [item.passage.title for item in ordered] == ["Bags", "Pets"]
    assert evidence[0].unit.text == "A second suitcase costs 60 euros."
    assert ordered[evidence[0].index].passage.title == "Bags"
    assert len(evidence) == 4


def test_evidence_is_sorted_by_its_score() -> None:
    _, evidence = EvidenceFinder(CountingEmbedder()).find(QUESTION, vector(), passages())

    scores = [item.score for item in evidence]
    assert scores == sorted(scores, reverse=True)


def test_word_share_counts_the_questions_words_in_heading_and_unit() -> None:
    # content words of the question: second, suitcase, cost; the title brings none of them
    _, evidence = EvidenceFinder(CountingEmbedder()).find(QUESTION, vector(), passages())
    shares = {item.unit.text: item.word_share for item in evidence}

    assert shares["A second suitcase costs 60 euros."] == pytest.approx(1.0)
    assert shares["A suitcase may weigh 23 kg."] == pytest.approx(1 / 3)
    assert shares["A cat may fly."] == 0.0


def test_cosine_is_that_of_question_and_headed_unit() -> None:
    _, evidence = EvidenceFinder(CountingEmbedder()).find(QUESTION, vector(), passages())
    expected = float(vector("Bags: A second suitcase costs 60 euros.") @ vector())

    assert evidence[0].cosine == pytest.approx(expected)


def test_score_adds_words_the_asked_value_and_the_closer_neighbour() -> None:
    _, evidence = EvidenceFinder(CountingEmbedder()).find(QUESTION, vector(), passages()[1:])
    cost, weight = evidence

    assert cost.unit.text == "A second suitcase costs 60 euros."
    assert cost.score == pytest.approx(cost.cosine + 0.25 * 1.0 + 0.15 + 0.4 * weight.cosine)
    assert weight.score == pytest.approx(weight.cosine + 0.25 * (1 / 3) + 0.4 * cost.cosine)


def test_unit_of_a_less_supported_passage_loses_a_share_of_the_lag_and_has_no_neighbour() -> None:
    ordered, evidence = EvidenceFinder(CountingEmbedder()).find(
        QUESTION, vector(), [hit("A suitcase."), hit("A second suitcase.", title="Bags")]
    )
    best, other = evidence
    support = [
        (hit.dense_score or 0.0) + unit.cosine for hit, unit in zip(ordered, evidence, strict=True)
    ]

    assert [best.index, other.index] == [0, 1]
    assert best.score == pytest.approx(best.cosine + 0.25 * best.word_share)
    assert other.score == pytest.approx(
        other.cosine + 0.25 * other.word_share + SUPPORT_WEIGHT * (support[1] - support[0])
    )


def test_likeness_to_the_closest_unit_is_a_cosine() -> None:
    _, evidence = EvidenceFinder(CountingEmbedder()).find(QUESTION, vector(), passages())
    closest, *others = sorted(evidence, key=lambda item: -item.cosine)
    titles = {0: "Bags", 1: "Pets"}
    texts = [f"{titles[item.index]}: {item.unit.text}" for item in (closest, others[0])]

    assert closest.to_closest == pytest.approx(1.0)
    assert others[0].to_closest == pytest.approx(float(vector(texts[0]) @ vector(texts[1])))


def test_finder_of_another_space_embeds_the_question_itself() -> None:
    embedder = CountingEmbedder()
    finder = EvidenceFinder(embedder, own_space=True)
    elsewhere: Vectors = HashEmbedder(64).embed([QUESTION])[0]  # of another length
    _, evidence = finder.find(QUESTION, elsewhere, passages())
    _, same = EvidenceFinder(CountingEmbedder()).find(QUESTION, vector(), passages())

    assert evidence == same
    assert embedder.batches == [1, 4]


def test_units_are_embedded_once() -> None:
    embedder = CountingEmbedder()
    finder = EvidenceFinder(embedder)
    first = finder.find(QUESTION, vector(), passages())
    second = finder.find(QUESTION, vector(), passages())

    assert sum(embedder.batches) == 4
    assert first == second


def test_without_a_vector_words_decide_and_the_order_stays() -> None:
    embedder = CountingEmbedder()
    ordered, evidence = EvidenceFinder(embedder).find(QUESTION, None, passages())

    assert [item.passage.title for item in ordered] == ["Pets", "Bags"]
    assert evidence[0].unit.text == "A second suitcase costs 60 euros."
    assert embedder.batches == []


def test_embedder_that_fails_is_an_error_and_words_can_decide_alone() -> None:
    finder = EvidenceFinder(BrokenEmbedder(256))
    with pytest.raises(EmbeddingError, match="switched off"):
        finder.find(QUESTION, vector(), passages())

    _, evidence = finder.find(QUESTION, None, passages())
    assert evidence[0].word_share > evidence[-1].word_share
    assert {item.cosine for item in evidence} == {0.0}


def test_relevance_counts_in_the_order_of_support() -> None:
    finder = EvidenceFinder(CountingEmbedder())
    pets, bags = passages()
    read = [replace(pets, rerank_score=1.0), replace(bags, rerank_score=0.0)]
    ordered, evidence = finder.find(QUESTION, vector(), read)

    assert [item.passage.title for item in ordered] == ["Pets", "Bags"]
    assert evidence[0].index == 1


def test_passage_that_was_not_read_counts_as_the_least_relevant_one() -> None:
    pets, bags = passages()
    read = [replace(pets, rerank_score=0.001), bags]
    ordered, _ = EvidenceFinder(CountingEmbedder()).find(QUESTION, vector(), read)

    assert [item.passage.title for item in ordered] == ["Bags", "Pets"]


def test_ties_keep_the_order_of_retrieval() -> None:
    twins = [hit(BAGS, title="Bags", start=start) for start in (0, 100, 200)]
    ordered, _ = EvidenceFinder(CountingEmbedder()).find(QUESTION, vector(), twins)

    assert [item.passage.start for item in ordered] == [0, 100, 200]


def test_work_is_bounded_for_long_lists() -> None:
    embedder = CountingEmbedder()
    lines = "\n".join(f"- item {number} weighs {number} kg" for number in range(30))
    many = [hit(lines, title=f"List {number}") for number in range(PASSAGES_READ + 5)]
    ordered, evidence = EvidenceFinder(embedder).find(QUESTION, vector(), many)

    assert len(ordered) == PASSAGES_READ
    assert len(evidence) == sum(embedder.batches) <= MAX_UNITS


@pytest.mark.parametrize("question", ["", "???", "the of and", "🧳"])
def test_question_without_content_words_divides_by_nothing(question: str) -> None:
    _, evidence = EvidenceFinder(CountingEmbedder()).find(question, vector(question), passages())

    assert all(np.isfinite(item.score) for item in evidence)
    assert all(item.word_share == 0.0 for item in evidence)


def test_nothing_retrieved_gives_nothing() -> None:
    assert EvidenceFinder(CountingEmbedder()).find(QUESTION, vector(), []) == ((), ())


def test_passage_without_units_gives_no_evidence() -> None:
    ordered, evidence = EvidenceFinder(CountingEmbedder()).find(
        QUESTION, vector(), [hit("See below:")]
    )

    assert len(ordered) == 1
    assert evidence == ()


def test_evidence_does_not_depend_on_what_was_asked_before(models_dir: Path) -> None:
    embedder = OnnxEmbedder.bundled(models_dir, adapter_dir=bundle.EMBEDDER_ADAPTER)
    question = embedder.embed([QUESTION])[0]
    fresh, used = EvidenceFinder(embedder), EvidenceFinder(embedder)
    used.find(QUESTION, question, passages()[1:])
    _, first = fresh.find(QUESTION, question, passages())
    _, second = used.find(QUESTION, question, passages())
    cosines = [{item.unit.text: item.cosine for item in found} for found in (first, second)]

    assert cosines[0] == pytest.approx(cosines[1], abs=1e-4)
