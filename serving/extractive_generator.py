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

MAX_WORDS = 80  # of an answer: nothing is added beyond one unit a document that exceeds them
MORE_RATIO = 0.7  # more units of the cited passages are quoted from this share of the best's score
LENGTH_COST = 0.006  # of a word, in units of the score, where a document is not the first
SECOND_PASSAGE_LEAD = 0.15  # a second passage of the first document needs it over the last document


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
        """Quotations with their markers, the best supported passage first."""
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
    """What is quoted of each document, in reading order; the best supported document first."""
    by_document: dict[str, list[Evidence]] = {}
    known = [item for item in prompt.evidence if item.index < len(prompt.passages)]
    for item in sorted(known, key=lambda item: item.index):
        by_document.setdefault(prompt.passages[item.index].passage.document_id, []).append(item)
    # 1. The best unit of each document, of those that leave room for the others.
    documents = list(by_document.values())[:limit]
    room = MAX_WORDS - _title_words(prompt, documents)
    chosen: list[list[Evidence]] = []
    for place, items in enumerate(documents):
        reserve = sum(min(map(_words, later)) for later in documents[place + 1 :])
        fitting = [item for item in items if _words(item) <= room - reserve]
        best = max(fitting, key=_short if place else _score) if fitting else min(items, key=_words)
        chosen.append([best])
        room -= _words(best)
    # 2. A second passage of the first document instead of the last one, when it is clearly better.
    if len(chosen) == limit > 2:
        taken = chosen[0][0].index
        other = max(
            (item for item in documents[0] if item.index != taken), key=_score, default=None
        )
        rival = max(documents[-1], key=_score)
        if other and other.score > rival.score + SECOND_PASSAGE_LEAD:
            chosen[0].append(other)
            chosen.pop()
    # 3. More of the cited passages, best first, while there is room.
    _fill(prompt, chosen, known)
    return [
        sorted(items, key=lambda item: prompt.passages[item.index].passage.start + item.unit.start)
        for items in chosen
    ]


def _fill(prompt: Prompt, chosen: list[list[Evidence]], known: Sequence[Evidence]) -> None:
    """Add to each document's units from its cited passages, within MAX_WORDS in all."""
    least = MORE_RATIO * chosen[0][0].score if chosen else 0.0
    place_of = {item.index: place for place, items in enumerate(chosen) for item in items}
    taken = [item for items in chosen for item in items]
    words = _title_words(prompt, chosen) + sum(map(_words, taken))
    for item in sorted(known, key=lambda item: -item.score):
        fits = words + _words(item) <= MAX_WORDS and item.score >= least
        if fits and item.index in place_of and item not in taken:
            chosen[place_of[item.index]].append(item)
            words += _words(item)


def _title_words(prompt: Prompt, documents: Sequence[Sequence[Evidence]]) -> int:
    titles = (prompt.passages[items[0].index].passage.title for items in documents)
    return sum(len(title.split()) for title in titles)


def _score(item: Evidence) -> float:
    return item.score


def _short(item: Evidence) -> float:
    return item.score - LENGTH_COST * _words(item)


def _words(item: Evidence) -> int:
    """Of a quotation with its marker."""
    return len(item.unit.text.split()) + 1
