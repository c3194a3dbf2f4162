"""Corpora of any size: real passages first, others like them behind, the same every time."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from eval.bench import vectors as vectors_module
from eval.bench.corpus import BLOCK, Corpus, ingestible
from eval.bench.neighbours import neighbours
from eval.bench.sources import cut, read_sources
from eval.bench.vectors import embed_all
from eval.errors import DatasetError, EvaluationError
from retrieval.chunking import Chunker
from retrieval.embedding import HashEmbedder, Vectors
from tests.eval.beir_set import CORPUS, write_set
from tests.eval.bench.bench_corpus import EMBEDDER, corpus, groups, sources, track

CHUNKER = Chunker(EMBEDDER.tokenizer, max_tokens=64)


@pytest.fixture(scope="module")
def made() -> Corpus:
    return corpus()


def texts(made: Corpus, size: int) -> list[str]:
    return list(made.texts(size))


# Text.


def test_text_is_read_from_files_bundles_and_sets(tmp_path: Path) -> None:
    write_set(tmp_path / "set", packed=True)
    (tmp_path / "a.md").write_text("# A\n\nfrom a file\n")
    (tmp_path / "b.txt").write_text("from plain text")
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    rows = [{"path": "c.md", "text": "from a bundle"}, {"path": "d.md", "text": "  "}]
    (tmp_path / "bundle.jsonl.gz").write_bytes(
        gzip.compress("\n".join(map(json.dumps, rows)).encode())
    )

    found = cut(read_sources([tmp_path], seed=1), CHUNKER, limit=100)

    assert {passage.text for group in found for passage in group.passages} == {
        "from a file",
        "from plain text",
        "from a bundle",
        *(text for text in CORPUS.values() if text),
    }


def test_order_of_the_documents_is_the_seeds(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.md").write_text(f"text {number}")
    one, again, other = (
        [file.source for file in read_sources([tmp_path], seed=seed)] for seed in (1, 1, 2)
    )

    assert one == again != other
    assert sorted(one) == sorted(other)


def test_text_that_stands_twice_counts_once() -> None:
    twice = [*sources(3), *sources(3)]

    assert len(cut(twice, CHUNKER, limit=100)) == 3


def test_passages_end_at_the_limit() -> None:
    assert sum(len(group.passages) for group in groups(7)) == 7


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("corpus.jsonl", b"{}", DatasetError),
        ("bundle.jsonl", b"{}", EvaluationError),
        ("nothing.png", b"", EvaluationError),
    ],
)
def test_broken_and_missing_text_is_told(
    tmp_path: Path, name: str, content: bytes, error: type[Exception]
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=str(tmp_path)):
        read_sources([tmp_path], seed=1)
    with pytest.raises(EvaluationError, match="no such file"):
        read_sources([tmp_path / "gone"], seed=1)


# Passages.


def test_corpus_up_to_the_real_size_is_the_text_itself(made: Corpus) -> None:
    real = [passage.searchable for group in groups() for passage in group.passages]

    assert made.real == len(real) > 100
    assert texts(made, made.real) == real
    assert texts(made, 33) == real[:33]


def test_longer_corpus_begins_with_the_shorter_one(made: Corpus) -> None:
    size = made.real + BLOCK + 12

    assert texts(made, size)[: made.real + 7] == texts(made, made.real + 7)
    assert len(texts(made, size)) == size


def test_recombined_passages_are_sentences_of_real_ones(made: Corpus) -> None:
    real = " ".join(texts(made, made.real))
    new = list(islice(made.pieces(made.real + 20), len(made.groups), None))

    assert [len(piece.passages) for piece in new] == [5, 5, 5, 5]
    for piece in new:
        for passage in piece.passages:
            assert all(f"{part.strip('.')}." in real for part in passage.text.split(". "))
    assert any(passage.text not in real for piece in new for passage in piece.passages)


def test_vectors_of_pieces_and_of_blocks_are_the_same_and_unit(made: Corpus) -> None:
    size = made.real + BLOCK + 12
    pieces: Vectors = np.concatenate([piece.vectors for piece in made.pieces(size)])
    blocks: Vectors = np.concatenate(list(made.blocks(size)))

    assert (pieces == blocks).all()
    assert pieces.shape == (size, EMBEDDER.dimension)
    assert np.allclose(np.linalg.norm(pieces, axis=1), 1, atol=1e-5)


def test_recombined_passages_lie_as_far_apart_as_real_ones(made: Corpus) -> None:
    found = neighbours(made, made.real + 3000)

    assert found["recombined"].n == 500
    assert found["recombined"].nearest[1] == pytest.approx(found["real"].nearest[1], rel=0.15)


def test_neighbours_are_those_of_an_exhaustive_search(made: Corpus) -> None:
    found = neighbours(made, made.real)["real"]
    cosines = made.vectors @ made.vectors.T
    np.fill_diagonal(cosines, -1)
    ordered = 1 - np.sort(cosines, axis=1)[:, ::-1]

    assert found.n == made.real
    assert found.nearest == pytest.approx(np.quantile(ordered[:, 0], [0.1, 0.5, 0.9]), abs=1e-5)
    assert found.fiftieth == pytest.approx(np.quantile(ordered[:, 49], [0.1, 0.5, 0.9]), abs=1e-5)


def test_wholly_real_corpus_has_no_recombined_neighbours(made: Corpus) -> None:
    assert set(neighbours(made, 50)) == {"real"}


def test_one_passage_is_no_corpus() -> None:
    with pytest.raises(EvaluationError, match="less than two passages"):
        corpus(limit=1)


def test_hash_follows_text_and_seed(made: Corpus) -> None:
    assert made.sha256() == corpus().sha256() != corpus(limit=50).sha256()


def test_documents_to_ingest_are_whole_and_at_least_one(made: Corpus) -> None:
    assert sum(len(passages) for _, passages in ingestible(made, 9)) == 8
    assert len(ingestible(made, 1)) == 1


# Kept vectors.


class Counting(HashEmbedder):
    embedded = 0

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.embedded += len(texts)
        return super().embed(texts)


def test_vectors_are_kept_in_the_order_of_the_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors_module, "SLICE", 4)
    counting = Counting()
    given = [f"text {'x' * (7 - n % 5)} {n}" for n in range(10)]
    first = embed_all(given, counting, work=tmp_path, track=track)
    second = embed_all(given, counting, work=tmp_path, track=track)

    assert counting.embedded == 10
    assert (first == second).all()
    assert (first == EMBEDDER.embed(given)).all()


def test_vectors_of_another_embedder_or_text_are_made_anew(tmp_path: Path) -> None:
    counting = Counting()
    embed_all(["a", "b"], counting, work=tmp_path, track=track)
    embed_all(["a", "c"], counting, work=tmp_path, track=track)
    counting.name = "other"
    embed_all(["a", "b"], counting, work=tmp_path, track=track)

    assert counting.embedded == 6
