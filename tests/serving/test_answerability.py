"""Whether the passages hold the answer: signals by hand, and a stored model that must fit."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from statistics import pstdev

import numpy as np
import pytest

from retrieval.documents import ScoredPassage
from retrieval.reranking import MAX_LOG_ODDS
from serving.answerability import (
    RERANK_SIGNALS,
    SEARCH_SIGNALS,
    Answerability,
    AnswerabilityError,
    Weighing,
    rerank_signals,
    search_signals,
)
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
    return dict(zip(SEARCH_SIGNALS, search_signals(passages, evidence).tolist(), strict=True))


def weighing(names: tuple[str, ...], **weights: float) -> Weighing:
    weighed = np.array([weights.get(name, 0.0) for name in names], dtype=np.float32)
    zeros = np.zeros_like(weighed)
    return Weighing(weighed, zeros, zeros + 1, bias=0.0, threshold=0.5)


def model(**weights: float) -> Answerability:
    return Answerability("hash", weighing(SEARCH_SIGNALS, **weights))


def probability(judge: Answerability, passages: list[ScoredPassage], *evidence: Evidence) -> float:
    return judge.judge(passages, evidence).probability


def reranked(*probabilities: float | None) -> list[ScoredPassage]:
    hits = retrieved(*(0.5 for _ in probabilities))
    return [replace(hit, rerank_score=p) for hit, p in zip(hits, probabilities, strict=True)]


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
            "best_blend": 0.65 * 0.7,
            "unexplained": math.sqrt(1 - 0.7**2),
        }
    )


def test_best_blend_counts_the_words_of_the_unit() -> None:
    wordy = replace(a_unit(0, 0.4), word_share=1.0)
    found = signals(retrieved(0.5), a_unit(0, 0.7), wordy)

    assert found["best_blend"] == pytest.approx(0.65 * 0.4 + 0.35)


def test_unexplained_is_what_two_units_leave_of_the_question() -> None:
    # the question (.6, .5, x) over units along two axes, and over two that are the same
    apart = (a_unit(0, 0.6), replace(a_unit(1, 0.5), to_closest=0.0))
    same = (a_unit(0, 0.6), replace(a_unit(1, 0.6), to_closest=1.0))

    assert signals(retrieved(0.5, 0.4), *apart)["unexplained"] == pytest.approx(
        math.sqrt(1 - 0.6**2 - 0.5**2)
    )
    assert signals(retrieved(0.5, 0.4), *same)["unexplained"] == pytest.approx(0.8)


def test_unexplained_is_the_distance_to_the_plane_of_two_slanted_units() -> None:
    rng = np.random.default_rng(0)
    question, *units = (v / np.linalg.norm(v) for v in rng.normal(size=(3, 4)) + 1)
    first, second = sorted(units, key=lambda unit: -float(unit @ question))
    plane = np.stack([first, second]).T  # (d, 2)
    solution = np.linalg.lstsq(plane, question, rcond=None)[0]
    evidence = (
        a_unit(0, float(first @ question)),
        replace(a_unit(1, float(second @ question)), to_closest=float(first @ second)),
    )

    assert signals(retrieved(0.5, 0.4), *evidence)["unexplained"] == pytest.approx(
        float(np.linalg.norm(question - plane @ solution)), abs=1e-6
    )


def test_one_passage_leads_by_all_that_it_has() -> None:
    found = signals(retrieved(0.6), a_unit(0, 0.4))

    assert (found["passage_lead"], found["passage_gap"]) == pytest.approx((0.6, 0.6))
    assert (found["unit_lead"], found["unit_gap"]) == pytest.approx((0.4, 0.4))
    assert found["support_spread"] == 0.0


def test_passages_that_only_bm25_found_and_no_units_leave_finite_signals() -> None:
    only_bm25 = [replace(item, dense_score=None) for item in retrieved(0.1, 0.2)]

    assert signals(only_bm25) == dict.fromkeys(SEARCH_SIGNALS, 0.0) | {"unexplained": 1.0}


def test_score_is_a_probability_that_grows_with_the_signals() -> None:
    passages = retrieved(0.8, 0.2)
    weighed = model(best_passage_cosine=2.0)

    assert probability(model(), passages) == pytest.approx(0.5)
    assert probability(weighed, passages) == pytest.approx(1 / (1 + math.exp(-1.6)))


def test_signals_are_scaled_before_they_are_weighed() -> None:
    plain = weighing(SEARCH_SIGNALS, best_passage_cosine=2.0)
    mean, scale = np.full_like(plain.mean, 0.3), np.full_like(plain.scale, 0.25)
    scaled = Answerability("hash", replace(plain, mean=mean, scale=scale))

    expected = 1 / (1 + math.exp(-2.0 * (0.8 - 0.3) / 0.25))
    assert probability(scaled, retrieved(0.8, 0.2)) == pytest.approx(expected)


def test_threshold_decides() -> None:
    judge = model(best_passage_cosine=2.0)
    strict = replace(judge, searched=replace(judge.searched, threshold=0.9))

    assert judge.judge(retrieved(0.8), ()).suffices
    assert not strict.judge(retrieved(0.8), ()).suffices


def test_no_passages_hold_no_answer() -> None:
    verdict = model().judge([], ())

    assert (verdict.probability, verdict.suffices) == (0.0, False)


# With a reranker.

BOTH = (*SEARCH_SIGNALS, *RERANK_SIGNALS)


def test_relevance_counts_as_log_odds_and_unread_passages_as_irrelevant() -> None:
    even, likely = 0.5, 1 / (1 + math.exp(-2))
    found = rerank_signals(reranked(even, likely, None), (a_unit(0, 0.2), a_unit(2, 0.6)))

    assert dict(zip(RERANK_SIGNALS, found.tolist(), strict=True)) == pytest.approx(
        {
            "best_relevance": 2.0,
            "second_relevance": 0.0,
            "third_relevance": -MAX_LOG_ODDS,
            "relevance_of_best_unit": -MAX_LOG_ODDS,
            "joint_relevance": math.log(1 + math.exp(2) + math.exp(-MAX_LOG_ODDS)),
        },
        abs=1e-5,
    )


@pytest.mark.parametrize(("certain", "expected"), [(0.0, -MAX_LOG_ODDS), (1.0, MAX_LOG_ODDS)])
def test_certain_relevance_stays_finite(certain: float, expected: float) -> None:
    assert rerank_signals(reranked(certain), ()).tolist() == pytest.approx(
        [expected, -MAX_LOG_ODDS, -MAX_LOG_ODDS, expected, expected]
    )


def test_relevance_is_weighed_where_a_reranker_ran_and_search_alone_where_none_did() -> None:
    judge = replace(
        model(best_passage_cosine=1.0),
        reranker="cross",
        reranked=weighing(BOTH, best_relevance=1.0),
    )

    assert probability(judge, reranked(0.9, 0.1)) == pytest.approx(0.9)
    assert probability(judge, retrieved(0.5)) == pytest.approx(1 / (1 + math.exp(-0.5)))


def test_weights_for_another_reranker_are_left_out_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "model.safetensors"
    replace(model(), reranker="cross", reranked=weighing(BOTH)).save(path)

    assert Answerability.load(path, embedder="hash", reranker="cross").reranked is not None
    assert caplog.text == ""
    assert Answerability.load(path, embedder="hash", reranker="other").reranked is None
    assert "'other'" in caplog.text
    assert "python -m router.calibrate" in caplog.text
    assert Answerability.load(path, embedder="hash").reranked is None


# On disk.


def test_model_survives_the_disk(tmp_path: Path) -> None:
    saved = Answerability(
        "hash",
        replace(weighing(SEARCH_SIGNALS, unit_gap=1.5), bias=-0.25, threshold=0.4),
        "cross",
        weighing(BOTH, best_relevance=0.5),
    )
    saved.save(tmp_path / "deep" / "model.safetensors")
    path = tmp_path / "deep" / "model.safetensors"
    loaded = Answerability.load(path, embedder="hash", reranker="cross")

    assert loaded.searched.weights.tolist() == saved.searched.weights.tolist()
    assert (loaded.searched.bias, loaded.searched.threshold) == (-0.25, 0.4)
    assert loaded.reranked is not None
    assert loaded.reranked.weights.tolist() == weighing(BOTH, best_relevance=0.5).weights.tolist()
    assert (loaded.embedder, loaded.reranker) == ("hash", "cross")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["model.safetensors"]


def test_model_of_another_embedder_is_refused_with_both_names(tmp_path: Path) -> None:
    model().save(tmp_path / "model.safetensors")

    with pytest.raises(AnswerabilityError, match=r"'hash'.*'other'.*python -m router.calibrate"):
        Answerability.load(tmp_path / "model.safetensors", embedder="other")


def test_model_of_other_signals_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("serving.answerability.RERANK_SIGNALS", RERANK_SIGNALS[:-1])
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
