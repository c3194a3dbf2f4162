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

SECOND_UNIT_RATIO = 0.9  # a second unit of the best passage is quoted from this share of the best


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
    by_passage: dict[int, list[Evidence]] = {}
    for item in prompt.evidence:
        if item.index < len(prompt.passages):
            by_passage.setdefault(item.index, []).append(item)
    for place, index in enumerate(_one_a_document(prompt, sorted(by_passage))[:limit]):
        units = by_passage[index]
        second = len(units) > 1 and units[1].score >= SECOND_UNIT_RATIO * units[0].score
        chosen = units[: 2 if place == 0 and second else 1]
        title = prompt.passages[index].passage.title
        opening = "\n\n" if place else ""
        yield Piece(f"{opening}{title}:", literal=True)
        for item in sorted(chosen, key=lambda item: item.unit.start):
            yield Piece(f" “{item.unit.text}”", literal=True)
            yield Piece(f" [{index + 1}]")


def _one_a_document(prompt: Prompt, indices: Sequence[int]) -> list[int]:
    """The best passage of each document: a later notice is worth more than the policy twice."""
    best: dict[str, int] = {}
    for index in indices:
        best.setdefault(prompt.passages[index].passage.document_id, index)
    return list(best.values())
