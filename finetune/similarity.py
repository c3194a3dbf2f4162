"""Texts that are nearly the same: MinHash finds the pairs, their shingles decide."""

from __future__ import annotations

import re
import unicodedata
import zlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations, product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHINGLE = 5  # characters
NEAR_FROM = 0.8  # Jaccard similarity
BANDS, ROWS = 20, 6  # a pair at 0.8 shares a band with probability 0.998, one at 0.4 with 0.08
WHOLE = 48  # texts of a bucket that are compared in all pairs
REPRESENTATIVES = (
    8  # for each text after those: of the bucket's beginning, and just before the text
)
PRIME = 2**31 - 1
SEED = 20261128
NOT_LETTERS = re.compile(r"[\W_]+")


def normalised(text: str) -> str:
    """What is left when case, punctuation, spacing and width do not count.

    >>> normalised("  Hello,\\nWORLD! ")
    'hello world'
    """
    kept = NOT_LETTERS.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()
    return kept or text.strip()  # emoji and signs alone are still different from each other


def jaccard(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """|A ∩ B| / |A ∪ B| of two sets of shingles, each sorted and without repeats."""
    import numpy as np

    shared = len(np.intersect1d(first, second, assume_unique=True))
    return shared / (len(first) + len(second) - shared)


def near_pairs(
    texts: Sequence[str], *, across: int | None = None
) -> Iterator[tuple[int, int, float]]:
    """Places (earlier, later) of texts at `NEAR_FROM` or above, and their similarity.

    With `across`, only pairs of a place below it and one from it on. In a bucket of more than
    `WHOLE` texts, each further one is compared with 2 * `REPRESENTATIVES` of those before it
    (with `across`, each text below it with `WHOLE` of those from it on).
    Source: Broder, On the resemblance and containment of documents, SEQUENCES 1997.
    """
    sets = [shingles(text) for text in texts]
    seen: set[tuple[int, int]] = set()
    for bucket in _buckets(sets):
        for earlier, later in _compared(bucket, across):
            if (earlier, later) in seen:
                continue
            seen.add((earlier, later))
            score = jaccard(sets[earlier], sets[later])
            if score >= NEAR_FROM:
                yield earlier, later, score


def _compared(bucket: Sequence[int], across: int | None) -> Iterator[tuple[int, int]]:
    """All pairs of a small bucket, some of a large one.

    Of 1,500 rows nearly all the same, comparing each with each took 23 s.
    """
    if across is not None:
        border = bisect_left(bucket, across)
        yield from product(bucket[:border], bucket[border : border + WHOLE])
        return
    yield from combinations(bucket[:WHOLE], 2)
    for at in range(WHOLE, len(bucket)):
        compared = (*bucket[:REPRESENTATIVES], *bucket[at - REPRESENTATIVES : at])
        yield from ((earlier, bucket[at]) for earlier in compared)


def shingles(text: str) -> NDArray[np.int64]:
    """Hashes of all runs of `SHINGLE` characters of the normalised text, sorted."""
    import numpy as np

    kept = normalised(text)
    runs = {kept[at : at + SHINGLE] for at in range(max(len(kept) - SHINGLE + 1, 1))}
    hashes = (zlib.crc32(run.encode()) % PRIME for run in runs)
    return np.unique(np.fromiter(hashes, dtype=np.int64))


def _buckets(sets: Sequence[NDArray[np.int64]]) -> Iterator[list[int]]:
    """Places whose signatures agree in a whole band."""
    import numpy as np

    numbers = np.random.default_rng(SEED)
    factors = numbers.integers(1, PRIME, size=(BANDS * ROWS, 1))
    offsets = numbers.integers(0, PRIME, size=(BANDS * ROWS, 1))
    buckets: defaultdict[tuple[int, bytes], list[int]] = defaultdict(list)
    for place, hashes in enumerate(sets):
        signature = ((factors * hashes + offsets) % PRIME).min(axis=1)  # (bands * rows,)
        for band, rows in enumerate(signature.reshape(BANDS, ROWS)):
            buckets[band, rows.tobytes()].append(place)
    yield from (bucket for bucket in buckets.values() if len(bucket) > 1)
