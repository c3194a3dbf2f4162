"""What others would use, in its own process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eval.bench import baselines as baselines_module
from eval.bench.baselines import SEARCHES, Baseline, Baselines, open_baselines
from eval.errors import EvaluationError
from tests.eval.bench.bench_corpus import MANIFEST, corpus

pytest.importorskip("rank_bm25", reason="the extra `evaluate` is not installed")
pytest.importorskip("bm25s", reason="the extra `evaluate` is not installed")


@pytest.fixture(scope="module")
def baselines() -> Iterator[Baselines]:
    with open_baselines(list(Baseline), MANIFEST, None) as opened:
        yield opened


def test_both_searches_are_timed_for_each_question(baselines: Baselines) -> None:
    assert baselines.prepare(corpus(), 200, max_memory_gib=1) == {}
    for question in ("word1 and word2", "the", ""):
        times = baselines.search(question)
        assert set(times) == {"rank-bm25", "bm25s"}
        assert all(0 <= time_ms < 1000 for time_ms in times.values())


def test_search_that_would_take_too_much_memory_is_left_out_and_says_so(
    baselines: Baselines,
) -> None:
    skipped = baselines.prepare(corpus(), 200, max_memory_gib=1e-6)

    assert set(skipped) == {"rank-bm25", "bm25s"}
    assert all(why.startswith("would take ") for why in skipped.values())
    assert baselines.search("word1") == {}


def test_search_without_time_left_is_asked_no_more(
    baselines: Baselines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baselines_module, "SECONDS", 1e-9)
    baselines.prepare(corpus(), 50, max_memory_gib=1)

    assert set(baselines.search("word1")) == {"rank-bm25", "bm25s"}
    assert baselines.search("word1") == {}


def test_without_weights_only_searches_are_wanted(baselines: Baselines) -> None:
    assert baselines.wanted == set(SEARCHES)


def test_failure_in_the_child_is_told(baselines: Baselines) -> None:
    with pytest.raises(EvaluationError, match="a baseline failed: encode: AssertionError"):
        baselines.encode(["text"])
