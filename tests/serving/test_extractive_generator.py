"""Answers in the documents' own words."""

from __future__ import annotations

import pytest

from retrieval.documents import ScoredPassage
from serving.answers import Message, Usage
from serving.evidence import Evidence
from serving.extractive_generator import MAX_WORDS, ExtractiveGenerator
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


def test_units_are_quoted_by_their_score_with_titles_and_markers() -> None:
    asked = request(
        a_unit(1, "Nine kilos.", score=0.8),
        a_unit(0, "Eight kilos.", score=0.9),
        a_unit(1, "Ten.", score=0.6, start=50),
    )

    assert text(asked) == "Page 1: “Eight kilos.” [1]\n\nPage 2: “Nine kilos.” [2] “Ten.” [2]"


def test_document_of_the_best_unit_comes_first() -> None:
    asked = request(a_unit(1, "Second.", score=0.9), a_unit(0, "First.", score=0.5))

    assert text(asked).index("Second.") < text(asked).index("First.")


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_no_more_passages_are_quoted_than_asked_for(limit: int) -> None:
    asked = request(*(a_unit(n, f"Unit {n}.", score=0.5) for n in range(4)), limit=limit)

    assert text(asked).count("“") == limit


def test_units_of_a_document_are_quoted_in_reading_order_under_one_title() -> None:
    same = (hit("One.", title="Page 1"), page(2), hit("Two.", title="Page 1", start=40))
    asked = request(
        a_unit(2, "Last.", score=0.9),
        a_unit(0, "Middle.", score=0.8, start=30),
        a_unit(0, "Early.", score=0.7),
        passages=same,
    )

    assert text(asked) == "Page 1: “Early.” [1] “Middle.” [1] “Last.” [3]"


def test_fourth_passage_is_not_cited_however_short_its_unit() -> None:
    asked = request(
        *(a_unit(n, f"Unit {n}.", score=0.9 - n / 10) for n in range(4)),
        a_unit(0, "More of the first.", score=0.5, start=90),
    )

    assert "Unit 3." not in text(asked)
    assert "More of the first." in text(asked)


def test_answer_stays_within_its_words_and_what_fits_behind_is_taken() -> None:
    first = a_unit(0, "word " * 40 + "end.", score=0.9)
    long = a_unit(0, "word " * 39 + "stop.", score=0.8, start=900)
    asked = request(first, long, a_unit(1, "Brief.", score=0.5))

    assert "end." in text(asked)
    assert "stop." not in text(asked)
    assert "Brief." in text(asked)
    assert len(text(asked).replace("[1]", "").replace("[2]", "").split()) <= MAX_WORDS


def test_unit_of_less_than_half_the_best_score_is_left_out() -> None:
    asked = request(
        a_unit(0, "Best.", score=0.8),
        a_unit(0, "Half.", score=0.4, start=30),
        a_unit(1, "Less.", score=0.39),
    )

    assert text(asked) == "Page 1: “Best.” [1] “Half.” [1]"


def test_best_unit_is_quoted_whatever_the_sign_of_its_score() -> None:
    asked = request(a_unit(0, "Right.", score=-0.1), a_unit(1, "Hello.", score=-0.9))

    assert text(asked) == "Page 1: “Right.” [1]"


def test_another_document_goes_before_a_second_unit_that_is_hardly_better() -> None:
    one, other = "word " * 30, "other " * 35
    units = (a_unit(0, "Best. " + one, score=0.9), a_unit(1, other, score=0.7))
    hardly = request(*units, a_unit(0, "more " * 35, score=0.79, start=300))
    clearly = request(*units, a_unit(0, "more " * 35, score=0.81, start=300))

    assert "other" in text(hardly)
    assert "more" not in text(hardly)
    assert "more" in text(clearly)
    assert "other" not in text(clearly)


def test_titles_count_as_words() -> None:
    titled = hit("One.", title="word " * 60)
    asked = request(
        a_unit(0, "word " * 30, score=0.9),
        a_unit(1, "Brief.", score=0.5),
        passages=(titled, page(2)),
    )

    assert text(asked) == "Page 2: “Brief.” [2]"


def test_shortest_unit_is_quoted_when_none_fits() -> None:
    asked = request(
        a_unit(0, "word " * 99, score=0.9),
        a_unit(0, "word " * 90 + "end.", score=0.8, start=999),
        a_unit(1, "Hello.", score=0.1),
    )

    assert text(asked).endswith("end.” [1]")
    assert text(asked).count("“") == 1


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
