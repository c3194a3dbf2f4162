"""Answers in the documents' own words: the best supported units, quoted and cited.

It needs no language model, so it is the starter profile's generator, and what stands in whenever a
language model fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from serving.answers import Usage
from serving.evidence import Evidence
from serving.generation import GenerationRequest, Piece
from serving.prompts import CountTokens, Prompt

MAX_WORDS = 80  # of an answer, titles included
REPEAT_COST = 0.1  # of a unit's score, when its document is quoted already: another may answer too
LEAST_SHARE = 0.5  # of the best unit's score, that another must reach to be quoted beside it


class ExtractiveGenerator:
    """Quotes; says nothing of its own but the titles it quotes from."""

    name = "extractive"
    speaks = False

    def __init__(self, count_tokens: CountTokens) -> None:
        self.count_tokens = count_tokens

    def adapters(self) -> Sequence[str]:
        """None: quoting has no voice."""
        return ()

    def stream(self, request: GenerationRequest) -> Iterator[Piece]:
        """Quotations with their markers: the best unit's document first, each in reading order."""
        written = 0
        for piece in _quotes(request.prompt, limit=request.max_citations):
            if request.cancelled.is_set():
                return
            written += self.count_tokens(piece.text)
            yield piece
        read = self.count_tokens(request.prompt.system) + sum(
            self.count_tokens(message.content) for message in request.prompt.messages
        )
        yield Piece("", usage=Usage(prompt_tokens=read, completion_tokens=written))


def _quotes(prompt: Prompt, *, limit: int) -> Iterator[Piece]:
    for place, items in enumerate(_chosen(prompt, limit=limit)):
        opening = "\n\n" if place else ""
        yield Piece(f"{opening}{prompt.passages[items[0].index].passage.title}:", literal=True)
        for item in items:
            yield Piece(f" “{item.unit.text}”", literal=True)
            yield Piece(f" [{item.index + 1}]")


def _chosen(prompt: Prompt, *, limit: int) -> list[list[Evidence]]:
    """What is quoted of each document, in reading order; the document of the best unit first.

    Units are taken by their score while they fit, down to LEAST_SHARE of the best one's: from at
    most `limit` passages, MAX_WORDS in all. If not even one fits, the shortest is taken.
    """
    known = [item for item in prompt.evidence if item.index < len(prompt.passages)]
    best = max((item.score for item in known), default=0.0)
    worthy = [item for item in known if item.score >= best - (1 - LEAST_SHARE) * abs(best)]
    left = list(worthy)
    chosen: dict[str, list[Evidence]] = {}
    cited: set[int] = set()
    room = MAX_WORDS

    def document(item: Evidence) -> str:
        return prompt.passages[item.index].passage.document_id

    while left:
        item = max(left, key=lambda item: item.score - REPEAT_COST * (document(item) in chosen))
        left.remove(item)
        words = _words(item.unit.text)
        if document(item) not in chosen:
            words += _words(prompt.passages[item.index].passage.title)
        if words <= room and (item.index in cited or len(cited) < limit):
            chosen.setdefault(document(item), []).append(item)
            cited.add(item.index)
            room -= words
    if worthy and not chosen:
        return [[min(worthy, key=lambda item: _words(item.unit.text))]]
    return [sorted(items, key=lambda item: _place(prompt, item)) for items in chosen.values()]


def _place(prompt: Prompt, item: Evidence) -> int:
    """Where the unit stands in its document."""
    return prompt.passages[item.index].passage.start + item.unit.start


def _words(text: str) -> int:
    return len(text.split())
