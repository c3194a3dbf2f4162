"""Whether the passages hold the answer: signals by hand, and a stored model that must fit."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from statistics import pstdev

import numpy as np
import pytest

from retrieval.documents import ScoredPassage
from serving.answerability import FEATURES, Answerability, AnswerabilityError, features
from serving.evidence import Evidence
from serving.sentences import Unit
from starter import bundle
from tests.serving.test_citations import hit


def retrieved(*cosines: float) -> list[ScoredPassage]:
    return [
        replace(hit("A cat may fly.", title=f"Page {n}"), dense_score=cosine, dense_rank=n)
        for n, cosine in enumerate(cosines, start=1)
    ]


def a_unit(index: int, cosine: float) -> Evidence:
    return Evidence(index, Unit("A cat may fly.", 0, 14), score=0.0, cosine=cosine, word_share=0.0)


def signals(passages: list[ScoredPassage], *evidence: Evidence) -> dict[str, float]:
    return dict(zip(FEATURES, features(passages, evidence).tolist(), strict=True))


def model(**weights: float) -> Answerability:
    weighed = np.array([weights.get(name, 0.0) for name in FEATURES], dtype=np.float32)
    zeros = np.zeros_like(weighed)
    return Answerability(weighed, zeros, zeros + 1, bias=0.0, threshold=0.5, embedder="hash")


def test_signals_say_how_far_the_best_stands_out() -> None:
    # The passages are not in the order of their cosines: 0.8 stands second.
    evidence = (a_unit(0, 0.1), a_unit(1, 0.7), a_unit(1, 0.2), a_unit(2, 0.4))
    found = signals(retrieved(0.2, 0.8, 0.5), *evidence)

    assert found == pytest.approx(
        {
            "best_passage_cosine": 0.8,
            "best_unit_cosine": 0.7,
            "passage_lead": 0.8 - (0.5 + 0.2) / 2,
            "unit_lead": 0.7 - (0.4 + 0.1) / 2,
            "passage_gap": 0.8 - 0.5,
            "unit_gap": 0.7 - 0.4,
            "top_units_cosine": (0.7 + 0.4 + 0.1) / 3,
            "support_spread": pstdev([0.2 + 0.1, 0.8 + 0.7, 0.5 + 0.4]),
        }
    )


def test_one_passage_leads_by_all_that_it_has() -> None:
    found = signals(retrieved(0.6), a_unit(0, 0.4))

    assert (found["passage_lead"], found["passage_gap"]) == pytest.approx((0.6, 0.6))
    assert (found["unit_lead"], found["unit_gap"]) == pytest.approx((0.4, 0.4))
    assert found["support_spread"] == 0.0


def test_passages_that_only_bm25_found_and_no_units_leave_finite_signals() -> None:
    only_bm25 = [replace(item, dense_score=None) for item in retrieved(0.1, 0.2)]

    assert signals(only_bm25) == dict.fromkeys(FEATURES, 0.0)


def test_score_is_a_probability_that_grows_with_the_signals() -> None:
    passages = retrieved(0.8, 0.2)
    weighed = model(best_passage_cosine=2.0)

    assert model().score(passages, ()) == pytest.approx(0.5)
    assert weighed.score(passages, ()) == pytest.approx(1 / (1 + math.exp(-1.6)))


def test_signals_are_scaled_before_they_are_weighed() -> None:
    scaled = replace(
        model(best_passage_cosine=2.0),
        mean=np.full(len(FEATURES), 0.3, dtype=np.float32),
        scale=np.full(len(FEATURES), 0.25, dtype=np.float32),
    )

    expected = 1 / (1 + math.exp(-2.0 * (0.8 - 0.3) / 0.25))
    assert scaled.score(retrieved(0.8, 0.2), ()) == pytest.approx(expected)


def test_no_passages_score_zero() -> None:
    assert model().score([], ()) == 0.0


def test_model_survives_the_disk(tmp_path: Path) -> None:
    saved = replace(model(unit_gap=1.5), bias=-0.25, threshold=0.4)
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
