"""The part of a passage that a cross-encoder reads: where the query's words stand.

A cross-encoder's cost grows with every token, and a passage may be several times as long as what
answers the query. So long passages are read in part: the run of whole sentences that holds the most
of the query's words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from retrieval.words import content_words

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


def best_window(
    words: frozenset[int],
    text: str,
    *,
    tokens: int,
    count_tokens: Callable[[Sequence[str]], Sequence[int]],
) -> str:
    """The run of sentences within `tokens` that holds the most of the `words` (content word ids).

    Of several, the first; the first words of a sentence that is longer by itself. A text that fits
    is returned whole.
    """
    spans = _sentences(text)
    lengths = count_tokens([text[start:end] for start, end in spans])
    if sum(lengths) <= tokens:
        return text
    held = [words & content_words(text[start:end]) for start, end in spans]
    best, best_run = -1, (0, 0)
    for first in range(len(spans)):
        last, read, seen = first, lengths[first], held[first]
        while last + 1 < len(spans) and read + lengths[last + 1] <= tokens:
            last += 1
            read += lengths[last]
            seen |= held[last]
        if len(seen) > best:
            best, best_run = len(seen), (first, last)
        if last + 1 == len(spans):
            break
    first, last = best_run
    return text[spans[first][0] : spans[last][1]]


def _sentences(text: str) -> list[tuple[int, int]]:
    """Spans of sentences and lines that hold anything."""
    gaps = [match.span() for match in _SENTENCE_END.finditer(text)]
    spans = zip(
        [0, *(end for _, end in gaps)], [*(start for start, _ in gaps), len(text)], strict=True
    )
    return [(start, end) for start, end in spans if text[start:end].strip()] or [(0, len(text))]
