"""As many passages as are asked for: the real ones first, then others recombined from them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from eval.bench.sources import Group
from eval.errors import EvaluationError
from retrieval.documents import Passage
from retrieval.embedding import Vectors
from retrieval.ingest import SourceFile
from serving.sentences import units

BLOCK = 5_000  # recombined passages that are made together
DOCUMENT = 5  # passages of a recombined document
SAMPLE = 500  # passages whose neighbours are looked for
KEPT = 0.5  # share of a passage's own sentences that a recombined one keeps
STRETCHES = (0.25, 4.0)  # of the noise, between which the best is looked for
HALVINGS = 8  # of that interval
_FARTHEST = 0.05  # cosine; a nearest neighbour that is farther says nothing


@dataclass(frozen=True, slots=True)
class Piece:
    """A document's passages with their vectors, (passages, d)."""

    source: str
    passages: Sequence[Passage]
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class Corpus:
    """Any number of passages, the same ones every time.

    A recombined passage has sentences of a real one, half of them replaced by any others. Its
    vector is the real one's plus noise: the difference of two real vectors, so that it varies as
    real ones do, at such a length that the cosine between the two is that of some real passage to
    its nearest neighbour, times `stretch`, because noise may also bring it near to others.
    `nearest` holds those cosines, (sample,).
    """

    groups: tuple[Group, ...]
    vectors: Vectors
    nearest: NDArray[np.float32]
    seed: int
    stretch: float = 1.0

    @classmethod
    def of(cls, groups: Sequence[Group], vectors: Vectors, *, seed: int) -> Corpus:
        """`vectors`: (passages, d), in the order of the groups' passages.

        Raises:
            EvaluationError: there is one passage alone, which has no neighbour.
        """
        if len(vectors) < 2:
            raise EvaluationError("the text holds less than two passages; give more with --text")
        rng = np.random.default_rng(seed)
        sample = rng.choice(len(vectors), size=min(SAMPLE, len(vectors)), replace=False)
        nearest = _nearest(vectors[sample], vectors, own=sample)
        return cls(tuple(groups), vectors, nearest, seed)._stretched()

    @property
    def real(self) -> int:
        """Number of real passages."""
        return len(self.vectors)

    def sha256(self) -> str:
        """Hex SHA-256 of the real passages' texts and of the seed, which decide all others."""
        digest = hashlib.sha256(str(self.seed).encode())
        for group in self.groups:
            for passage in group.passages:
                digest.update(passage.searchable.encode(errors="replace") + b"\x00")
        return digest.hexdigest()

    def pieces(self, size: int) -> Iterator[Piece]:
        """Documents of `size` passages together."""
        start = 0
        for group in self.groups:
            cut = group.passages[: size - start]
            if cut:
                end = start + len(cut)
                yield Piece(group.file.source, cut, self.vectors[start:end])
                start = end
        if start < size:
            passages = [passage for group in self.groups for passage in group.passages]
            sentences = [_sentences(passage) for passage in passages]
            for first in range(start, size, BLOCK):
                yield from self._block(first, min(BLOCK, size - first), passages, sentences)

    def texts(self, size: int) -> Iterator[str]:
        """What is indexed of each passage."""
        for piece in self.pieces(size):
            for passage in piece.passages:
                yield passage.searchable

    def blocks(self, size: int) -> Iterator[Vectors]:
        """The vectors alone, (at most `BLOCK`, d) at a time."""
        for first in range(0, min(size, self.real), BLOCK):
            yield self.vectors[first : min(first + BLOCK, size)]
        for first in range(self.real, size, BLOCK):
            yield self._noisy(self._rng(first), min(BLOCK, size - first))[1]

    def _stretched(self) -> Corpus:
        """With noise so long that recombined neighbours are as far as real ones at the median."""
        wanted = float(np.median(self.nearest))
        low, high = STRETCHES
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            _, made = replace(self, stretch=middle)._noisy(self._rng(self.real), BLOCK)
            own = self.real + np.arange(SAMPLE)
            found = _nearest(made[:SAMPLE], np.concatenate([self.vectors, made]), own=own)
            low, high = (middle, high) if np.median(found) > wanted else (low, middle)
        return replace(self, stretch=(low + high) / 2)

    def _rng(self, first: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, first])

    def _noisy(self, rng: np.random.Generator, count: int) -> tuple[NDArray[np.int64], Vectors]:
        """Places of the real passages that are varied, (count,), and the vectors, (count, d).

        With noise of length s across a unit vector, the cosine is 1 / sqrt(1 + s^2). Whole blocks
        are drawn, so that a corpus begins like any longer one.
        """
        base, one, other = rng.integers(self.real, size=(3, BLOCK))
        cosines = np.clip(rng.choice(self.nearest, size=BLOCK), _FARTHEST, 1)
        noise = self.vectors[one] - self.vectors[other]  # (block, d)
        noise /= np.maximum(np.linalg.norm(noise, axis=1, keepdims=True), 1e-9)
        length = self.stretch * np.sqrt(1 / cosines**2 - 1)  # (block,)
        made = self.vectors[base] + length[:, None] * noise
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        return base[:count], made[:count].astype(np.float32)

    def _block(
        self,
        first: int,
        count: int,
        passages: Sequence[Passage],
        sentences: Sequence[Sequence[str]],
    ) -> Iterator[Piece]:
        """`sentences` are those of each of the real `passages`."""
        rng = self._rng(first)
        base, vectors = self._noisy(rng, count)
        for start, end in pairwise([*range(0, count, DOCUMENT), count]):
            made = [
                replace(
                    passages[base[place]],
                    ordinal=place - start,
                    text=_recombined(sentences[base[place]], sentences, rng),
                )
                for place in range(start, end)
            ]
            yield Piece(f"recombined/{first + start}.md", made, vectors[start:end])


def _nearest(sample: Vectors, vectors: Vectors, *, own: NDArray[np.int64]) -> NDArray[np.float32]:
    """(sample,) cosine to the nearest of the vectors but that at the `own` place."""
    cosines = sample @ vectors.T  # (sample, vectors)
    cosines[np.arange(len(sample)), own] = -1
    best: NDArray[np.float32] = cosines.max(axis=1)
    return best


def _recombined(
    own: Sequence[str], every: Sequence[Sequence[str]], rng: np.random.Generator
) -> str:
    kept = rng.random(len(own)) < KEPT
    others = rng.integers(len(every), size=len(own))
    made = [
        sentence if keep else every[other][int(rng.integers(len(every[other])))]
        for sentence, keep, other in zip(own, kept, others, strict=True)
    ]
    return " ".join(made)


def _sentences(passage: Passage) -> list[str]:
    found = [unit.text for unit in units(passage.text, table_header=passage.table_header)]
    return found or [passage.text]


def ingestible(corpus: Corpus, passages: int) -> list[tuple[SourceFile, tuple[Passage, ...]]]:
    """Real documents whole, of at most so many passages together, but at least one."""
    chosen: list[tuple[SourceFile, tuple[Passage, ...]]] = []
    count = 0
    for group in corpus.groups:
        if chosen and count + len(group.passages) > passages:
            break
        chosen.append((group.file, group.passages))
        count += len(group.passages)
    return chosen
