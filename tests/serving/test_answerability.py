"""Whether the passages hold the answer: signals by hand, and a stored model that must fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrieval.documents import ScoredPassage
from retrieval.embedding import HashEmbedder
from serving.answerability import FEATURES, Answerability, AnswerabilityError, features
from serving.evidence import EvidenceFinder
from starter import bundle
from tests.serving.test_citations import hit

QUESTION = "What does a second suitcase cost?"
EMBEDDER = HashEmbedder(256)


def retrieved() -> list[ScoredPassage]:
    bags = hit("A second suitcase costs 60 euros.", title="Bags")
    pets = hit("A cat may fly.", title="Pets")
    return [
        replace(bags, dense_score=0.8, dense_rank=1, bm25_score=6.0, bm25_rank=1),
        replace(pets, dense_score=0.2, dense_rank=2),
    ]


def signals(question: str, passages: list[ScoredPassage]) -> dict[str, float]:
    vector = EMBEDDER.embed([question])[0]
    ordered, evidence = EvidenceFinder(EMBEDDER).find(question, vector, passages)
    values = features(question, ordered, evidence)
    return dict(zip(FEATURES, values.tolist(), strict=True))


def model(**changes: float) -> Answerability:
    weights = np.array([changes.get(name, 0.0) for name in FEATURES], dtype=np.float32)
    zeros = np.zeros_like(weights)
    return Answerability(weights, zeros, zeros + 1, bias=0.0, threshold=0.5, embedder="hash")


def test_signals_are_those_of_the_retrieved_passages() -> None:
    found = signals(QUESTION, retrieved())

    assert found["best_passage_cosine"] == pytest.approx(0.8)
    assert found["passage_cosine_lead"] == pytest.approx(0.8 - 0.2)
    assert found["best_unit_word_share"] == pytest.approx(1.0)
    assert found["best_passage_word_share"] == pytest.approx(1.0)
    assert found["all_passages_word_share"] == pytest.approx(1.0)
    assert found["bm25_per_word"] == pytest.approx(6.0 / 3)  # second, suitcase, cost
    assert found["legs_agree"] == 1.0
    assert found["question_words"] == pytest.approx(np.log(4))


def test_legs_that_name_different_documents_disagree() -> None:
    bags, pets = retrieved()
    apart = [replace(bags, bm25_rank=2), replace(pets, bm25_rank=1, bm25_score=7.0)]

    assert signals(QUESTION, apart)["legs_agree"] == 0.0


@pytest.mark.parametrize("question", ["???", "🧳", "the", "a " * 5000])
def test_signals_are_finite_for_any_question(question: str) -> None:
    values = signals(question, [hit("A cat may fly.")]).values()

    assert all(np.isfinite(value) for value in values)


def test_score_is_a_probability_that_grows_with_the_signals() -> None:
    passages = retrieved()
    weighed = model(best_passage_cosine=2.0)

    assert model().score(QUESTION, passages, ()) == pytest.approx(0.5)
    assert weighed.score(QUESTION, passages, ()) == pytest.approx(1 / (1 + np.exp(-1.6)))


def test_no_passages_score_zero() -> None:
    assert model().score(QUESTION, [], ()) == 0.0


def test_model_survives_the_disk(tmp_path: Path) -> None:
    saved = replace(model(legs_agree=1.5), bias=-0.25, threshold=0.4)
    saved.save(tmp_path / "deep" / "model.safetensors")
    loaded = Answerability.load(tmp_path / "deep" / "model.safetensors", embedder="hash")

    assert loaded.weights.tolist() == saved.weights.tolist()
    assert (loaded.bias, loaded.threshold, loaded.embedder) == (-0.25, 0.4, "hash")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["model.safetensors"]


def test_model_of_another_embedder_is_refused_with_both_names(tmp_path: Path) -> None:
    model().save(tmp_path / "model.safetensors")

    with pytest.raises(AnswerabilityError, match=r"'hash'.*'other'.*python -m router.calibrate"):
        Answerability.load(tmp_path / "model.safetensors", embedder="other")


def test_model_of_other_signals_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("serving.answerability.FEATURES", FEATURES[:-1])
        model().save(tmp_path / "model.safetensors")

    with pytest.raises(AnswerabilityError, match="other signals"):
        Answerability.load(tmp_path / "model.safetensors", embedder="hash")


@pytest.mark.parametrize("content", [None, b"", b"not safetensors at all"])
def test_missing_or_damaged_model_is_named_with_its_remedy(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "model.safetensors"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(AnswerabilityError, match=r"model\.safetensors.*router\.calibrate"):
        Answerability.load(path, embedder="hash")


def test_bundled_model_reads_the_signals_of_today() -> None:
    # Its name is that of the embedder it was fitted on; any other is refused.
    with pytest.raises(AnswerabilityError, match="the embedder is 'none'"):
        Answerability.load(bundle.ANSWERABILITY, embedder="none")
