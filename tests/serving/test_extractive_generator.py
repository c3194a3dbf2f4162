"""Answers in the documents' own words."""

from __future__ import annotations

import pytest

from retrieval.documents import ScoredPassage
from serving.answers import Message, Usage
from serving.evidence import Evidence
from serving.extractive_generator import ExtractiveGenerator
from serving.generation import GenerationRequest, Piece
from serving.prompts import Prompt
from serving.sentences import Unit
from tests.serving.test_citations import hit


def a_unit(index: int, text: str, *, score: float, start: int = 0) -> Evidence:
    return Evidence(index, Unit(text, start, start + len(text)), score, score, score)


def page(number: int) -> ScoredPassage:
    return hit(f"The text of page {number}.", title=f"Page {number}")


def request(
    *evidence: Evidence, passages: tuple[ScoredPassage, ...] | None = None, limit: int = 3
) -> GenerationRequest:
    hits = (page(1), page(2), page(3), page(4)) if passages is None else passages
    prompt = Prompt("one two three", (Message("user", "four five"),), "?", hits, evidence)
    return GenerationRequest(prompt, max_citations=limit)


def pieces(asked: GenerationRequest) -> list[Piece]:
    return list(ExtractiveGenerator(lambda text: len(text.split())).stream(asked))


def text(asked: GenerationRequest) -> str:
    return "".join(piece.text for piece in pieces(asked))


def test_best_unit_of_each_passage_is_quoted_with_title_and_marker() -> None:
    asked = request(
        a_unit(0, "Eight kilos.", score=0.9),
        a_unit(1, "Nine kilos.", score=0.8),
        a_unit(1, "Not this.", score=0.1, start=50),
    )

    assert text(asked) == "Page 1: “Eight kilos.” [1]\n\nPage 2: “Nine kilos.” [2]"


def test_passages_are_quoted_in_their_order_whatever_their_units_score() -> None:
    asked = request(a_unit(1, "Second.", score=0.9), a_unit(0, "First.", score=0.5))

    assert text(asked).index("First.") < text(asked).index("Second.")


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_no_more_passages_are_quoted_than_asked_for(limit: int) -> None:
    asked = request(*(a_unit(n, f"Unit {n}.", score=0.5) for n in range(4)), limit=limit)

    assert text(asked).count("“") == limit


def test_more_units_of_a_cited_passage_are_quoted_when_nearly_as_good() -> None:
    close = request(a_unit(0, "Late.", score=1.0, start=30), a_unit(0, "Early.", score=0.95))
    far = request(a_unit(0, "Late.", score=1.0, start=30), a_unit(0, "Early.", score=0.5))

    assert text(close) == "Page 1: “Early.” [1] “Late.” [1]"  # in reading order
    assert text(far) == "Page 1: “Late.” [1]"


def test_one_document_is_quoted_from_one_place() -> None:
    same = (hit("One.", title="Page 1"), hit("Two.", title="Page 1", start=40), page(2))
    asked = request(*(a_unit(n, f"Unit {n}.", score=0.9 - n / 10) for n in range(3)), passages=same)

    assert text(asked) == "Page 1: “Unit 0.” [1]\n\nPage 2: “Unit 2.” [3]"


def test_best_unit_of_a_document_is_quoted_from_whichever_passage_holds_it() -> None:
    same = (hit("One.", title="Page 1"), page(2), hit("Two.", title="Page 1", start=40))
    asked = request(a_unit(0, "No.", score=0.3), a_unit(2, "Yes.", score=0.9), passages=same)

    assert text(asked) == "Page 1: “Yes.” [3]"


def test_second_passage_of_the_first_document_takes_the_last_place_when_clearly_better() -> None:
    hits = (hit("One.", title="Page 1"), hit("Two.", title="Page 1", start=40), page(2), page(3))
    units = (a_unit(0, "A.", score=0.9), a_unit(2, "C.", score=0.3), a_unit(3, "D.", score=0.3))
    better = request(*units, a_unit(1, "B.", score=0.5), passages=hits)
    as_good = request(*units, a_unit(1, "B.", score=0.4), passages=hits)

    assert text(better) == "Page 1: “A.” [1] “B.” [2]\n\nPage 2: “C.” [3]"
    assert text(as_good) == "Page 1: “A.” [1]\n\nPage 2: “C.” [3]\n\nPage 3: “D.” [4]"


def test_later_documents_are_quoted_briefly_where_two_units_are_alike() -> None:
    long = a_unit(1, "word " * 20 + "end.", score=0.55, start=90)
    asked = request(a_unit(0, "Best.", score=0.9), long, a_unit(1, "Brief.", score=0.5))

    assert text(asked) == "Page 1: “Best.” [1]\n\nPage 2: “Brief.” [2]"


def test_answer_stays_within_its_words_while_there_is_a_choice() -> None:
    first = a_unit(0, "word " * 40 + "end.", score=0.9)
    more = a_unit(0, "word " * 39 + "stop.", score=0.89, start=900)
    asked = request(first, more, a_unit(1, "Brief.", score=0.2))
    lengthy = request(a_unit(0, "word " * 99, score=0.9), a_unit(0, "Brief.", score=0.1, start=999))

    assert "end." in text(asked)
    assert "stop." not in text(asked)
    assert "Brief." in text(asked)
    assert text(lengthy) == "Page 1: “Brief.” [1]"


def test_evidence_of_passages_that_the_prompt_dropped_is_not_quoted() -> None:
    asked = request(
        a_unit(0, "Kept.", score=0.5), a_unit(3, "Dropped.", score=0.9), passages=(page(1),)
    )

    assert text(asked) == "Page 1: “Kept.” [1]"


def test_last_piece_counts_prompt_and_answer() -> None:
    *_, last = pieces(request(a_unit(0, "Eight kilos.", score=0.9)))

    assert last == Piece("", usage=Usage(prompt_tokens=5, completion_tokens=5))


def test_without_evidence_only_the_usage_comes() -> None:
    assert pieces(request()) == [Piece("", usage=Usage(5, 0))]


def test_cancelled_request_gets_nothing_more() -> None:
    asked = request(a_unit(0, "One.", score=0.9), a_unit(1, "Two.", score=0.8))
    stream = ExtractiveGenerator(len).stream(asked)
    first = next(stream)
    asked.cancelled.set()

    assert first.text == "Page 1:"
    assert list(stream) == []


def test_it_has_no_voices_and_does_not_speak() -> None:
    generator = ExtractiveGenerator(len)

    assert generator.adapters() == ()
    assert not generator.speaks
