"""`twofold evaluate retrieval`, through the command itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from eval.measures import MEASURES
from finetune.retrieval_data import SETS
from retrieval.reranking import OverlapReranker
from serving import wiring
from tests.conftest import ROOT, environment
from tests.eval.beir_set import SCORES, write_set
from tests.serving.test_cli import Ran, run

TRAINED_ON = SETS[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sets")
    for name in ("tiny", "other", TRAINED_ON):
        write_set(root / name)
    return root


def evaluate(*words: str | Path, home: Path) -> Ran:
    """Over predictable vectors; every cross-encoder by name is the one that counts words."""
    with patch.object(wiring, "CrossEncoderReranker", lambda name: OverlapReranker()):
        variables = {"TWOFOLD_RERANK_WEIGHT": "1"}
        return run("evaluate", "retrieval", *map(str, words), home=home, variables=variables)


def evaluated(*words: str | Path, home: Path) -> dict[str, Any]:
    """The result file."""
    target = home / "result.json"
    ran = evaluate(*words, "--json", target, home=home)
    assert (ran.status, ran.err) == (0, "")
    result: dict[str, Any] = json.loads(target.read_text())
    return result


def test_table_shows_value_interval_gain_and_p(folder: Path, tmp_path: Path) -> None:
    ran = evaluate("--dataset", folder / "tiny", "--reranker", "words", home=tmp_path)

    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("tiny: 5 queries, 5 documents, 4 passages\n")
    assert re.search(r"^nDCG@10 +bm25 +0\.726 +0\.\d{3} to 1\.000 *$", ran.out, re.MULTILINE)
    gain = r"^ +reranked +0\.800 +0\.\d{3} to 1\.000 +-0\.100 +-0\.\d{3} to [+-]0\.000 +1\.0000$"
    assert re.search(gain, ran.out, re.MULTILINE)
    assert "embedder hash\nreranker overlap\n" in ran.out
    assert "best passage" in ran.out


def test_json_holds_stages_intervals_tests_and_what_was_measured(
    folder: Path, tmp_path: Path
) -> None:
    result = evaluated("--dataset", folder / "tiny", "--reranker", "words", home=tmp_path)

    assert result["stages"] == {stage: pytest.approx(row) for stage, row in SCORES.items()}
    for stage, row in result["stages"].items():
        for name, value in row.items():
            low, high = result["intervals_95"][stage][name]
            assert 0 <= low <= value <= high <= 1
    assert [(test["stage"], test["before"], test["measure"]) for test in result["tests"]] == [
        (stage, before, name)
        for before, stage in (("bm25", "dense"), ("dense", "fused"), ("fused", "reranked"))
        for name in MEASURES
    ]
    assert set(result["tests"][0]) == {
        *("stage", "before", "measure", "difference", "interval_95", "p")
    }
    assert (result["embedder"], result["reranker"], result["n"]) == ("hash", "overlap", 5)
    assert isinstance(result["seed"], int)
    (dataset,) = result["datasets"]
    assert (dataset["name"], dataset["trained_on"]) == ("tiny", False)
    assert dataset["stages"] == result["stages"]


def test_without_reranker_three_stages_are_measured(folder: Path, tmp_path: Path) -> None:
    result = evaluated("--dataset", folder / "tiny", "--reranker", "none", home=tmp_path)

    assert list(result["stages"]) == ["bm25", "dense", "fused"]
    assert result["reranker"] is None


def test_configured_reranker_is_measured_unless_the_command_says_none(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("evaluate", "retrieval", "--dataset", str(folder / "tiny"))
    variables = {"TWOFOLD_RERANKER": "words"}
    with patch.object(wiring, "CrossEncoderReranker", lambda name: OverlapReranker()):
        configured = run(*words, home=tmp_path, variables=variables)
        none = run(*words, "--reranker", "none", home=tmp_path, variables=variables)

    assert "reranker overlap" in configured.out
    assert "reranker none" in none.out


def test_bundled_reranker_is_the_default(folder: Path, tmp_path: Path) -> None:
    ran = run("evaluate", "retrieval", "--dataset", str(folder / "tiny"), home=tmp_path)

    assert "reranker overlap" in ran.out


def test_sets_that_trained_a_shipped_model_are_marked(folder: Path, tmp_path: Path) -> None:
    words = ("--dataset", folder / TRAINED_ON, "--reranker", "none")

    assert evaluated(*words, home=tmp_path)["datasets"][0]["trained_on"] is True
    assert evaluate(*words, home=tmp_path).out.startswith(f"{TRAINED_ON} (trained on): 5 queries")


def test_sample_is_fixed_by_its_seed(folder: Path, tmp_path: Path) -> None:
    def sampled(seed: int) -> list[dict[str, Any]]:
        words = ("--dataset", folder / "tiny", "--queries", "2", "--seed", str(seed))
        result = evaluated(*words, "--reranker", "words", home=tmp_path)
        assert (result["n"], result["seed"], result["queries_per_dataset"]) == (2, seed, 2)
        assert result["datasets"][0]["judged_queries"] == 5
        return [result["stages"], result["intervals_95"]]

    first = sampled(1)

    assert sampled(1) == first
    assert any(sampled(seed) != first for seed in (2, 3, 4))


def test_several_sets_give_a_table_each_and_their_means(folder: Path, tmp_path: Path) -> None:
    names = ("tiny", TRAINED_ON, "other")
    words = [word for name in names for word in ("--dataset", folder / name)]
    target = tmp_path / "result.json"
    ran = evaluate(*words, "--reranker", "none", "--json", target, home=tmp_path)
    result = json.loads(target.read_text())

    titles = re.findall(r"^(.+): \d+ queries", ran.out, re.MULTILINE)
    assert titles == [
        "tiny",
        f"{TRAINED_ON} (trained on)",
        "other",
        "mean of 3 sets",
        "mean of 2 sets not trained on",
    ]
    assert re.search(r"^mean of 3 sets +0\.726 +0\.779 +0\.926$", ran.out, re.MULTILINE)
    assert [item["name"] for item in result["datasets"]] == list(names)
    assert (result["n"], result["not_trained_on"]["n"]) == (15, 10)
    assert result["stages"]["bm25"] == pytest.approx(SCORES["bm25"])


def test_work_folder_keeps_an_index_for_each_corpus(folder: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    words = ("--dataset", folder / "tiny", "--work", work)
    first = evaluated(*words, "--reranker", "none", home=tmp_path)
    again = evaluated(*words, "--reranker", "words", home=tmp_path)

    (kept,) = work.iterdir()
    assert re.fullmatch(r"tiny-[0-9a-f]{16}", kept.name)
    assert again["stages"]["fused"] == first["stages"]["fused"]


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_plot_is_drawn(folder: Path, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / "deep" / f"stages.{suffix}"
    words = ("--dataset", folder / "tiny", "--dataset", folder / "other", "--reranker", "none")
    ran = evaluate(*words, "--plot", target, home=tmp_path)

    assert (ran.status, ran.err) == (0, "")
    assert list(target.parent.iterdir()) == [target]
    start = target.read_bytes()[:100]
    assert start.startswith(b"\x89PNG" if suffix == "png" else b"<?xml")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--dataset", "nowhere"), "nowhere: no such folder; a set is a folder in BEIR layout"),
        (("--dataset", "tiny", "--plot", "a.jpg"), "a.jpg: a plot's suffix is .svg or .png"),
        (("--dataset", "tiny", "--dataset", "broken"), "corpus.jsonl:1: "),
    ],
)
def test_what_is_wrong_is_one_line_and_status_one(
    words: tuple[str, ...],
    message: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = write_set(tmp_path / "sets" / "broken")
    (broken / "corpus.jsonl").write_text("{")
    write_set(tmp_path / "sets" / "tiny")
    monkeypatch.chdir(tmp_path / "sets")
    ran = run("evaluate", "retrieval", *words, home=tmp_path)

    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("twofold: ")
    assert message in ran.err


@pytest.mark.parametrize(
    ("module", "words"), [("ir_measures", ()), ("matplotlib.figure", ("--plot", "a.svg"))]
)
def test_missing_package_is_told_before_anything_is_embedded(
    module: str,
    words: tuple[str, ...],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    ran = evaluate("--dataset", folder / "tiny", *words, home=tmp_path)

    assert ran.status == 1
    assert "pip install 'twofold[evaluate]'" in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--dataset", "tiny", "--queries", "0"),
        ("--dataset", "tiny", "--queries", "many"),
        ("--dataset", "tiny", "--seed", "x"),
    ],
)
def test_wrong_usage_is_status_two(words: tuple[str, ...], tmp_path: Path) -> None:
    assert evaluate(*words, home=tmp_path).status == 2


def test_real_command_measures_with_the_bundled_models(
    folder: Path, tmp_path: Path, models_dir: Path
) -> None:
    target = tmp_path / "result.json"
    command = [sys.executable, "-m", "serving.cli.main", "evaluate", "retrieval"]
    done = subprocess.run(
        [*command, "--dataset", folder / "tiny", "--reranker", "none", "--json", target],
        env=environment(tmp_path / "home", models_dir),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(target.read_text())
    assert result["stages"]["bm25"] == pytest.approx(SCORES["bm25"])
    assert result["stages"]["dense"]["recall@20"] == 1
    assert result["embedder"].startswith("embedder-")
    assert not (tmp_path / "home" / "index").exists()  # the product's own data are not touched
