"""Percentiles, memory and the promises, from figures made up."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from eval.bench.bars import Bar, bars
from eval.bench.measured import Measured, OneTenant, Sized
from eval.bench.memory import Memory, reset_peak
from eval.bench.models import Compared, Ingested
from eval.bench.recall import Recall
from eval.bench.server import ServerMemory
from eval.bench.stages import Stage
from eval.bench.timing import Percentiles, Stopwatch
from retrieval.edge_query import GRAPH_SEARCH_WIDTH


def same(value: float) -> Percentiles:
    return Percentiles(200, value, 2 * value, 3 * value)


RECALLS = [Recall(32, 0.5, 200, 0.1), Recall(GRAPH_SEARCH_WIDTH, 0.99, 200, 1.0)]
TIMES: dict[str, Percentiles] = {
    Stage.EMBED: same(2),
    Stage.ENGINE: same(3),
    Stage.FOUND: same(6),
    Stage.TOTAL: same(200),
}
SIZED = Sized(
    passages=100_000,
    real=20_000,
    scanned=0,
    times=TIMES,
    baseline_ratios={"rank-bm25": 250.0},
    skipped={},
    recalls=RECALLS,
    neighbours={},
    memory=None,
)
MEASURED = Measured(
    sizes=[SIZED],
    one_tenant=OneTenant(20_000, RECALLS, RECALLS),
    embedding=None,
    reranking=None,
    reranked_tokens=0.0,
    ingest=None,
    server=None,
)


def by_name(measured: Measured) -> dict[str, Bar]:
    return {bar.name: bar for bar in bars(measured)}


def test_search_is_held_against_the_engine_and_the_embedding() -> None:
    assert SIZED.engine_ratio == 6 / (3 + 2)
    bar = by_name(MEASURED)["100,000 passages: question to fused / (engine + embedding)"]
    assert (bar.value, bar.bound, bar.at_most, bar.reached) == (1.2, 1.5, True, True)


def test_recall_of_recombined_passages_is_no_promise() -> None:
    name = "100,000 passages, real: dense recall@50 in scope"
    real = replace(SIZED, real=100_000)

    assert name not in by_name(MEASURED)
    assert by_name(replace(MEASURED, sizes=[real]))[name].value == 0.99


def test_growth_is_held_against_a_hundred_thousand() -> None:
    huge = replace(SIZED, passages=1_000_000, times={**TIMES, Stage.FOUND: same(20)})
    bar = by_name(replace(MEASURED, sizes=[SIZED, huge]))[
        "1,000,000 passages: p50 over that at 100,000"
    ]
    assert (bar.value, bar.reached) == (20 / 6, False)


def test_models_ingest_and_server_have_bars_where_they_were_measured() -> None:
    before = len(bars(MEASURED))
    compared = Compared(same(2), same(12), 6.0, 0.99, 0.98)
    memory = Memory(1000, 800, 200, 1100)
    full = replace(
        MEASURED,
        embedding=compared,
        reranking=compared,
        ingest=Ingested(1000, 10, 13),
        server=ServerMemory(100_000, 1000, memory, replace(memory, rss_mib=1200)),
    )
    found = by_name(full)

    assert len(found) == before + 5
    assert not found["ingest: times faster than encode"].reached
    server = found["server, 100,000 passages, 1,000 questions: RSS in GB"]
    assert server.value == pytest.approx(1.258, abs=1e-3)  # 1200 MiB
    assert not server.reached


def test_record_holds_every_figure_as_plain_values() -> None:
    record = MEASURED.record()

    assert record["sizes"][0]["stages_ms"]["question_to_fused"] == {
        "n": 200,
        "p50": 6,
        "p95": 12,
        "p99": 18,
    }
    assert record["sizes"][0]["recombined_passages"] == 80_000
    assert record["sizes"][0]["dense_recall@50"]["width"] == GRAPH_SEARCH_WIDTH
    assert record["embedding"] is None


def test_stopwatch_keeps_every_run_in_its_place() -> None:
    watch = Stopwatch()
    assert watch.time("a", lambda: "result") == "result"
    for time_ms in (3.0, 1.0):
        watch.add("b", time_ms)

    assert watch.times_ms["b"] == [3.0, 1.0]
    assert watch.percentiles()["b"].p50 == 2.0
    assert watch.percentiles()["a"].n == 1


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux's /proc")
def test_memory_of_a_process_grows_with_what_it_holds() -> None:
    reset_peak()
    before = Memory.of()
    held = bytearray(os.urandom(1)) * (64 << 20)
    after = Memory.of(os.getpid())

    assert before is not None
    assert after is not None
    assert after.rss_mib - before.rss_mib > 50
    assert after.peak_mib >= after.rss_mib * 0.99
    assert len(held) == 64 << 20


def test_memory_of_a_process_that_is_gone_is_unknown() -> None:
    assert Memory.of(2**22 + 1) is None
