"""The logistic head: its probabilities by hand and by scikit-learn, and its file."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from retrieval.onnx_embedder import OnnxEmbedder
from router.head import Floats, HeadError, IntentHead, Routing
from router.intents import Intent, Route
from starter import bundle

CLASSES = len(Intent)


def head(*, temperature: float = 1.0, threshold: float = 0.5) -> IntentHead:
    """Dimension i speaks for intent i."""
    return IntentHead(
        weights=np.eye(CLASSES, dtype=np.float32),
        bias=np.zeros(CLASSES, dtype=np.float32),
        temperature=temperature,
        threshold=threshold,
        embedder="hash",
    )


def pointing_at(intent: Intent, strength: float) -> Floats:
    vector = np.zeros(CLASSES, dtype=np.float32)
    vector[list(Intent).index(intent)] = strength
    return vector


def test_probabilities_of_one_logit_equal_the_written_out_softmax() -> None:
    (row,) = head(temperature=2.0).probabilities(pointing_at(Intent.CREATIVE, 2.0)[np.newaxis])
    expected = [1 / (3 + math.e), math.e / (3 + math.e), 1 / (3 + math.e), 1 / (3 + math.e)]
    assert row.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("temperature", [0.25, 1.0, 4.0])
def test_probabilities_sum_to_one(temperature: float) -> None:
    vectors = np.random.default_rng(0).normal(size=(50, CLASSES)).astype(np.float32) * 100
    rows = head(temperature=temperature).probabilities(vectors)
    assert rows.shape == (50, CLASSES)
    assert rows.dtype == np.float32
    assert rows.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert rows.min() >= 0


def test_probabilities_agree_with_scikit_learn() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(200, 8)).astype(np.float32)
    labels = (vectors[:, :CLASSES] + rng.normal(size=(200, CLASSES))).argmax(axis=1)
    model = linear_model.LogisticRegression().fit(vectors, labels)
    ours = IntentHead(
        weights=model.coef_.astype(np.float32),
        bias=model.intercept_.astype(np.float32),
        temperature=1.0,
        threshold=0.0,
        embedder="hash",
    )
    assert ours.probabilities(vectors) == pytest.approx(model.predict_proba(vectors), abs=1e-5)


@pytest.mark.parametrize(
    ("intent", "route"),
    [
        (Intent.FACTUAL, Route.RAG),
        (Intent.CREATIVE, Route.FINE_TUNED),
        (Intent.ANALYSIS, Route.HYBRID),
        (Intent.SMALL_TALK, Route.FINE_TUNED),
    ],
)
def test_route_of_a_sure_intent_is_the_tables(intent: Intent, route: Route) -> None:
    routing = head().route(pointing_at(intent, 10.0))
    assert (routing.route, routing.intent) == (route, intent)
    assert routing.score == pytest.approx(1 / (1 + 3 * math.exp(-10)), abs=1e-6)


def test_route_below_the_threshold_is_hybrid_and_keeps_the_guess() -> None:
    routing = head(threshold=0.5).route(pointing_at(Intent.FACTUAL, 1.0))
    score = math.e / (math.e + 3)
    assert score < 0.5
    assert routing == Routing(Route.HYBRID, Intent.FACTUAL, routing.score)
    assert routing.score == pytest.approx(score, abs=1e-6)


def test_route_at_the_threshold_is_taken() -> None:
    sure = head(threshold=0.25).route(np.zeros(CLASSES, dtype=np.float32))
    assert (sure.route, sure.score) == (Route.RAG, 0.25)


def test_save_then_load_gives_the_same_head(tmp_path: Path) -> None:
    path = tmp_path / "new" / "head.safetensors"
    saved = head(temperature=1.1892071150027210667, threshold=0.1 + 0.2)
    saved.save(path)
    loaded = IntentHead.load(path, embedder="hash")
    assert loaded.weights.tolist() == saved.weights.tolist()
    assert loaded.bias.tolist() == saved.bias.tolist()
    assert (loaded.temperature, loaded.threshold) == (saved.temperature, saved.threshold)
    assert [file.name for file in path.parent.iterdir()] == ["head.safetensors"]


def test_save_over_an_older_head_replaces_it(tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    head(threshold=0.1).save(path)
    head(threshold=0.9).save(path)
    assert IntentHead.load(path, embedder="hash").threshold == 0.9


def test_load_for_another_embedder_names_both(tmp_path: Path) -> None:
    head().save(tmp_path / "head.safetensors")
    with pytest.raises(HeadError, match="vectors of 'hash', the embedder is 'other'"):
        IntentHead.load(tmp_path / "head.safetensors", embedder="other")


def test_load_missing_file_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(HeadError, match=r"missing\.safetensors.*python -m router\.train"):
        IntentHead.load(tmp_path / "missing.safetensors", embedder="hash")


@pytest.mark.parametrize("content", [b"", b"garbage that is no safetensors file"])
def test_load_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "head.safetensors").write_bytes(content)
    with pytest.raises(HeadError, match="cannot read"):
        IntentHead.load(tmp_path / "head.safetensors", embedder="hash")


def test_load_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    head().save(path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(HeadError, match="cannot read"):
        IntentHead.load(path, embedder="hash")


METADATA = {
    "temperature": "1.0",
    "threshold": "0.5",
    "embedder": "hash",
    "intents": json.dumps(list(Intent)),
}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"intents": json.dumps(["factual", "riddle"])}, "riddle.*retrain"),
        ({"intents": "["}, "cannot read"),
        ({"temperature": "warm"}, "warm"),
        ({"threshold": None}, "threshold"),
        ({"embedder": None}, "embedder"),
    ],
)
def test_load_with_other_metadata_is_refused(
    tmp_path: Path, metadata: dict[str, str | None], message: str
) -> None:
    merged = {**METADATA, **metadata}
    kept = {key: value for key, value in merged.items() if value is not None}
    arrays = {"weights": head().weights, "bias": head().bias}
    save_file(arrays, tmp_path / "head.safetensors", metadata=kept)
    with pytest.raises(HeadError, match=message):
        IntentHead.load(tmp_path / "head.safetensors", embedder="hash")


def test_load_without_one_of_the_arrays_is_refused(tmp_path: Path) -> None:
    save_file({"weights": head().weights}, tmp_path / "head.safetensors", metadata=METADATA)
    with pytest.raises(HeadError, match="bias"):
        IntentHead.load(tmp_path / "head.safetensors", embedder="hash")


def test_load_with_a_row_too_few_is_refused(tmp_path: Path) -> None:
    arrays = {"weights": head().weights[:-1], "bias": head().bias[:-1]}
    save_file(arrays, tmp_path / "head.safetensors", metadata=METADATA)
    with pytest.raises(HeadError):
        IntentHead.load(tmp_path / "head.safetensors", embedder="hash")


@pytest.fixture(scope="module")
def shipped(models_dir: Path) -> IntentHead:
    embedder = OnnxEmbedder.bundled(models_dir, adapter_dir=bundle.EMBEDDER_ADAPTER)
    return IntentHead.load(bundle.ROUTER_HEAD, embedder=embedder.name)


def test_shipped_head_fits_the_shipped_embedder(shipped: IntentHead) -> None:
    assert shipped.weights.shape == (CLASSES, OnnxEmbedder.dimension)
    assert shipped.bias.shape == (CLASSES,)


def test_shipped_head_can_be_unsure(shipped: IntentHead) -> None:
    assert shipped.threshold > 1 / CLASSES  # the least that the likeliest of them can have
