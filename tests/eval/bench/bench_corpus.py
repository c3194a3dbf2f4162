"""A corpus of sixty small documents, over predictable vectors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from eval.bench.corpus import Corpus
from eval.bench.sources import Group, cut
from retrieval.chunking import Chunker
from retrieval.embedding import HashEmbedder
from retrieval.ingest import SourceFile
from retrieval.points import IndexManifest

EMBEDDER = HashEmbedder()
MANIFEST = IndexManifest(embedder="hash", dimension=64)
DOCUMENTS = 60
Item = TypeVar("Item")


def track(sequence: Iterable[Item], *, description: str) -> Iterable[Item]:
    return sequence


def sources(count: int = DOCUMENTS) -> list[SourceFile]:
    words = [f"word{number}" for number in range(40)]

    def sentence(seed: int) -> str:
        return " ".join(words[(seed * step) % 40] for step in range(1, 9)).capitalize() + "."

    return [
        SourceFile(
            f"{number}.md",
            f"# Title {number}\n\n{sentence(number)} {sentence(number + 7)}\n\n"
            f"## Part\n\n{sentence(3 * number + 1)}\n".encode(),
        )
        for number in range(count)
    ]


def groups(limit: int = 1000) -> list[Group]:
    return cut(sources(), Chunker(EMBEDDER.tokenizer, max_tokens=64), limit=limit)


def corpus(limit: int = 1000) -> Corpus:
    found = groups(limit)
    texts = [passage.searchable for group in found for passage in group.passages]
    return Corpus.of(found, EMBEDDER.embed(texts), seed=1)
