"""A cross-encoder made on the spot, against its own logits; and the fake's arithmetic."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from retrieval.documents import Passage
from retrieval.reranking import CrossEncoderReranker, OverlapReranker, RerankError

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # sentence-transformers' import
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

WORDS = ["dogs", "cats", "fly", "in", "the", "hold", "fees", "are", "euros"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
MakeModel = Callable[[int], Path]


def passage(text: str, *, title: str = "") -> Passage:
    return Passage(text, "d", 1, 0, title, (), text, 0, len(text))


PASSAGES = [passage("dogs fly in the hold"), passage("fees are euros"), passage("cats " * 100)]


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> MakeModel:
    """Saves a random BERT of one small layer with so many labels."""
    pytest.importorskip("sentence_transformers", reason="the extra `models` is not installed")

    def make(labels: int) -> Path:
        import torch
        from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

        torch.manual_seed(0)
        folder = tmp_path_factory.mktemp(f"cross-encoder-{labels}-")
        (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
        BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
        configuration = BertConfig(
            vocab_size=len(VOCABULARY),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=64,
            initializer_range=0.5,
        )
        configuration.num_labels = labels
        BertForSequenceClassification(configuration).save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="module")
def model(make_model: MakeModel) -> Path:
    return make_model(1)


@pytest.fixture(scope="module")
def reranker(model: Path) -> CrossEncoderReranker:
    return CrossEncoderReranker(str(model), max_tokens=32)


def by_hand(model: Path, query: str, text: str) -> float:
    """sigmoid(logit) of the pair, without sentence-transformers."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    classifier = AutoModelForSequenceClassification.from_pretrained(model).eval()
    encoded = tokenizer(query, text, truncation=True, max_length=32, return_tensors="pt")
    with torch.no_grad():
        return 1 / (1 + math.exp(-float(classifier(**encoded).logits[0, 0])))


def test_rerank_scores_are_the_models_in_the_passages_order(
    reranker: CrossEncoderReranker, model: Path
) -> None:
    expected = [by_hand(model, "dogs", item.text) for item in PASSAGES]
    assert reranker.rerank("dogs", PASSAGES) == pytest.approx(expected, abs=1e-4)
    assert len({round(score, 4) for score in expected}) == 3


def test_rerank_reads_the_passage_behind_its_title(
    reranker: CrossEncoderReranker, model: Path
) -> None:
    (score,) = reranker.rerank("dogs", [passage("in the hold", title="cats fly")])
    assert score == pytest.approx(by_hand(model, "dogs", "cats fly\nin the hold"), abs=1e-4)


def test_rerank_no_passages_gives_no_scores(reranker: CrossEncoderReranker) -> None:
    assert reranker.rerank("dogs", []) == []


def test_rerank_name_is_the_models(reranker: CrossEncoderReranker, model: Path) -> None:
    assert reranker.name == str(model)


def test_cross_encoder_that_is_missing_names_it_and_the_remedy(
    make_model: MakeModel, tmp_path: Path
) -> None:
    with pytest.raises(RerankError, match=r"cannot load cross-encoder .*missing.*give a folder"):
        CrossEncoderReranker(str(tmp_path / "missing"))


def test_cross_encoder_without_the_extra_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    importing = builtins.__import__

    def without(name: str, *args: object, **options: object) -> object:
        if name == "sentence_transformers":
            raise ImportError(name)
        return importing(name, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(RerankError, match=r"twofold\[models\]"):
        CrossEncoderReranker("any")


def test_cross_encoder_with_damaged_weights_is_a_rerank_error(make_model: MakeModel) -> None:
    folder = make_model(1)
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(RerankError):
        CrossEncoderReranker(str(folder))


def test_cross_encoder_with_several_labels_is_a_rerank_error(make_model: MakeModel) -> None:
    folder = make_model(3)
    with pytest.raises(RerankError):
        CrossEncoderReranker(str(folder), max_tokens=32).rerank("dogs", PASSAGES)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("dogs fly", [1.0, 0.0, 0.0]),
        ("Dogs, dogs & CATS!", [0.5, 0.0, 0.5]),
        ("what are the fees", [0.25, 0.5, 0.0]),
        ("", [0.0, 0.0, 0.0]),
    ],
)
def test_overlap_scores_the_share_of_distinct_words(query: str, expected: list[float]) -> None:
    assert OverlapReranker().rerank(query, PASSAGES) == expected
