"""`twofold bench retrieval`, through the command itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, environment
from tests.eval.beir_set import write_set
from tests.serving.test_cli import Ran, run

pytest.importorskip("matplotlib", reason="the extra `evaluate` is not installed")
pytest.importorskip("bm25s", reason="the extra `evaluate` is not installed")

pytestmark = pytest.mark.slow  # the real command, over real models

QUICK = ("--server-questions", "0", "--ingest-passages", "0", "--queries", "12")


def bench(*words: str | Path, home: Path) -> Ran:
    return run("bench", "retrieval", *map(str, words), home=home)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Path]:
    folder = tmp_path_factory.mktemp("bench")
    searches = ("--baseline", "rank-bm25", "--baseline", "bm25s")
    files = ("--json", folder / "result.json", "--plot", folder / "plot.svg")
    ran = bench("--passages", "300", "1000", *QUICK, *searches, *files, home=folder)
    return ran, folder


@pytest.fixture(scope="module")
def result(measured: tuple[Ran, Path]) -> dict[str, Any]:
    ran, folder = measured
    assert (ran.status, ran.err) == (0, "")
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def test_table_names_every_stage_with_percentiles_and_n(measured: tuple[Ran, Path]) -> None:
    ran, _ = measured
    assert ran.out.startswith("300 passages (all real), milliseconds\n")
    for stage in ("embed", "BM25", "dense", "fuse", "rerank", "total", "rank-bm25", "bm25s"):
        row = rf"^{stage}.* +\d+\.\d\d +\d+\.\d\d +\d+\.\d\d +12\b"
        assert len(re.findall(row, ran.out, re.MULTILINE)) >= 2, stage
    assert re.search(r"^1,000 passages \(\d+ real, \d+ recombined\)", ran.out, re.MULTILINE)
    assert "recall@50" in ran.out
    assert "Recombined passages: sentences of real ones" in ran.out


def test_json_holds_every_size_stage_and_bar(result: dict[str, Any]) -> None:
    small, large = result["sizes"]
    assert (small["passages"], large["passages"]) == (300, 1000)
    assert small["recombined_passages"] == 0
    assert large["recombined_passages"] == 1000 - result["real_passages"] > 0
    stages = {"embed", "bm25", "dense", "fuse", "rerank", "total", "rank-bm25", "bm25s"}
    for size in (small, large):
        assert stages <= set(size["stages_ms"])
        for times in size["stages_ms"].values():
            assert times["n"] == 12
            assert 0 <= times["p50"] <= times["p95"] <= times["p99"]
        assert size["dense_recall@50"]["recall"] == 1  # scanned
        assert set(size["baselines_over_bm25"]) == {"rank-bm25", "bm25s"}
        assert size["memory"]["rss_mib"] <= size["memory"]["peak_mib"] * 1.01
    assert set(large["neighbour_distances"]) == {"real", "recombined"}
    assert result["one_tenant"]["passages"] == result["real_passages"]
    assert (result["tenants"], result["groups_of_a_question"], result["hnsw_ef"]) == (20, 3, 512)
    assert all(set(bar) >= {"name", "value", "reached"} for bar in result["bars"])
    assert result["embedding"] is result["reranking"] is result["server"] is None


def test_fused_search_takes_no_less_than_its_parts(result: dict[str, Any]) -> None:
    for size in result["sizes"]:
        p50 = {name: times["p50"] for name, times in size["stages_ms"].items()}
        assert p50["total"] > p50["embed"]
        assert p50["engine"] > 0.5 * max(p50["bm25"], p50["dense"])


def test_plot_is_drawn(measured: tuple[Ran, Path], result: dict[str, Any]) -> None:
    svg = (measured[1] / "plot.svg").read_text()
    assert "<svg" in svg


def test_kept_vectors_and_indexes_serve_the_next_run(tmp_path: Path) -> None:
    write_set(tmp_path / "set")
    words = ("--passages", "60", "--baseline", "none", "--work", tmp_path / "work")
    sets = ("--text", tmp_path / "set", "--questions", tmp_path / "set")
    assert bench(*words, *sets, *QUICK, home=tmp_path).status == 0
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("documents.db")}
    again = bench(*words, *sets, *QUICK, home=tmp_path)

    assert again.status == 0
    assert len(kept) == 2  # twenty tenants, and one
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert "60 passages (4 real, 56 recombined)" in again.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--passages", "0"), "'0' is not a number from 1"),
        (("--passages", "1k"), "'1k' is not a number from 1"),
        ((), "--passages"),
        (("--passages", "9", "--baseline", "tantivy"), "invalid choice: 'tantivy'"),
        (("--passages", "9", "--plot", "a.pdf"), "a plot's suffix is"),
        (("--passages", "9", "--text", "/nowhere"), "/nowhere: no such file or folder"),
    ],
)
def test_wrong_usage_is_told(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    ran = bench(*words, home=tmp_path)
    assert ran.status in (1, 2)
    assert message in ran.err


def test_help_needs_no_heavy_modules() -> None:
    code = (
        "import sys\nfrom serving.cli.main import main\n"
        "try:\n    main(['bench', 'retrieval', '--help'])\nexcept SystemExit: pass\n"
        "sys.exit(bool({'torch', 'numpy', 'qdrant_edge', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "--max-memory-gib" in done.stdout


@pytest.mark.slow
def test_real_models_their_baselines_and_the_server(tmp_path: Path, models_dir: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="the extra `models` is not installed")
    words = "bench retrieval --passages 60 --queries 6 --ingest-passages 20 --server-questions 5"
    target = tmp_path / "result.json"
    done = subprocess.run(
        [sys.executable, "-m", "serving.cli.main", *words.split(), "--json", str(target)],
        cwd=ROOT,
        env={**environment(tmp_path / "home", models_dir), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(target.read_text())

    assert found["embedding"]["agreement"] > 0.98
    assert found["reranking"]["agreement"] > 0.8
    assert found["ingest"]["passages"] > 0
    assert found["server"]["questions"] == 5
    assert found["server"]["after"]["rss_mib"] > 100
