"""`twofold evaluate exports`, through the command itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, environment
from tests.eval.beir_set import QRELS, write_set
from tests.serving.test_cli import run


def test_other_embedder_has_no_export_to_compare(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "tiny")
    words = ("evaluate", "exports", "--dataset", str(folder))
    ran = run(*words, home=tmp_path, variables={"TWOFOLD_EMBEDDER": "some-model"})

    assert (ran.status, ran.out) == (1, "")
    assert "only the bundled embedder is exported" in ran.err


@pytest.mark.slow
def test_exports_rank_like_their_weights_in_32_bit(tmp_path: Path, models_dir: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="the extra `models` is not installed")
    target = tmp_path / "result.json"
    command = [sys.executable, "-m", "serving.cli.main", "evaluate", "exports"]
    done = subprocess.run(
        [*command, "--dataset", write_set(tmp_path / "tiny"), "--json", target],
        env={**environment(tmp_path / "home", models_dir), "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    (found,) = json.loads(target.read_text())
    queries = len({query for query, _, grade in QRELS if grade})

    assert found["n"] == queries
    for model in found["models"]:
        assert model["reference_ndcg@10"] > 0.5
        # A query may change two neighbours: of so few, one weighs much.
        assert abs(model["difference"]) < 0.5
        change = model["ours_ndcg@10"] - model["reference_ndcg@10"]
        assert model["difference"] == pytest.approx(change)
