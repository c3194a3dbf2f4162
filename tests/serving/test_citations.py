"""Markers in a stream of text, and the words that each stands for."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.documents import Passage, ScoredPassage
from serving.citations import Marker, MarkerFilter, cite

PETS = "Cats and small dogs may fly. The carrier weighs at most 8 kg. It stays closed."
TABLE = "| Fare | Bag |\n|---|---|\n| Light | none |\n| Flex | two, 23 kg |\n"


def hit(text: str, *, title: str = "Pets", start: int = 0, table_header: str = "") -> ScoredPassage:
    passage = Passage(
        id=f"passage-{title}-{start}",
        document_id=f"document-{title}",
        generation=1,
        ordinal=0,
        title=title,
        heading_path=(title,),
        text=text,
        start=start,
        end=start + len(text),
        table_header=table_header,
    )
    return ScoredPassage(passage, f"{title}.md", "documents", score=1.0, fused_score=1.0)


def filtered(pieces: Iterable[str], *, passages: int = 3, limit: int = 3) -> MarkerFilter:
    markers = MarkerFilter(passages, limit=limit)
    released = "".join(markers.feed(piece) for piece in pieces) + markers.finish()
    assert released == markers.text
    return markers


def test_marker_is_kept_with_its_place() -> None:
    found = filtered(["It weighs 8 kg [2]."])

    assert found.text == "It weighs 8 kg [1]."
    assert found.markers == [Marker(1, passage=2, start=15, end=18)]


@pytest.mark.parametrize(
    "pieces",
    [["8 kg [", "1", "]."], ["8 kg ", "[1]."], ["8 kg", " [1", "]", "."], list("8 kg [1].")],
)
def test_marker_split_over_pieces_is_found(pieces: list[str]) -> None:
    found = filtered(pieces)

    assert found.text == "8 kg [1]."
    assert found.markers == [Marker(1, passage=1, start=5, end=8)]


@pytest.mark.parametrize(
    "pieces", [["8 kg [7]."], ["8 kg [", "7", "]."], ["8 kg", " ", "[7]."], ["8 kg [0]."]]
)
def test_marker_of_no_passage_is_cut_with_the_space_before_it(pieces: list[str]) -> None:
    found = filtered(pieces)

    assert found.text == "8 kg."
    assert found.markers == []


def test_start_of_a_marker_is_held_back() -> None:
    markers = MarkerFilter(3, limit=3)

    assert markers.feed("8 kg [1") == "8 kg"
    assert markers.feed("]") == " [1]"


@pytest.mark.parametrize("text", ["see [12", "an [aside] here", "x[", "[1234] was long", "[ 1 ]"])
def test_bracket_that_is_no_marker_is_released(text: str) -> None:
    assert filtered(list(text)).text == text


def test_more_passages_than_the_limit_are_not_cited() -> None:
    found = filtered(["A [1]. B [2]. C [3]. D [1]."], limit=2)

    assert found.text == "A [1]. B [2]. C. D [1]."
    assert [marker.number for marker in found.markers] == [1, 2, 1]


def test_cited_passages_are_numbered_in_the_order_of_the_text() -> None:
    found = filtered(["A [12].", " B [3]. C [12] and [5]."], passages=12)

    assert found.text == "A [1]. B [2]. C [1] and [3]."
    assert [marker.passage for marker in found.markers] == [12, 3, 12, 5]
    assert [found.text[m.start : m.end] for m in found.markers] == ["[1]", "[2]", "[1]", "[3]"]


def test_adjacent_markers_are_both_kept() -> None:
    found = filtered(["A bag [1][2] and [3]"])

    assert [found.text[m.start : m.end] for m in found.markers] == ["[1]", "[2]", "[3]"]


def test_places_count_code_points() -> None:
    found = filtered(["🧳 weighs 8 kg [1]."])
    (marker,) = found.markers

    assert found.text[marker.start : marker.end] == "[1]"


@given(st.lists(st.text(alphabet="a [1]27.🧳\n", max_size=6), max_size=12), st.integers(1, 3))
@settings(max_examples=300, deadline=None)
def test_pieces_never_change_what_is_released(pieces: list[str], limit: int) -> None:
    streamed = filtered(pieces, passages=2, limit=limit)
    whole = filtered(["".join(pieces)], passages=2, limit=limit)

    assert streamed.text == whole.text
    assert streamed.markers == whole.markers
    for marker in streamed.markers:
        assert streamed.text[marker.start : marker.end] == f"[{marker.number}]"
    assert len({marker.number for marker in streamed.markers}) <= limit


def cited(text: str, *hits: ScoredPassage) -> list[str]:
    found = filtered([text], passages=len(hits))
    return [citation.quote for citation in cite(found.text, found.markers, hits)]


def test_quotation_is_cited_literally() -> None:
    assert cited("Pets: “It stays closed.” [1]", hit(PETS)) == ["It stays closed."]


def test_paraphrase_is_cited_by_the_sentence_that_shares_most_words() -> None:
    assert cited("The weight of a carrier is 8 kg at most [1].", hit(PETS)) == [
        "The carrier weighs at most 8 kg."
    ]


def test_each_sentence_cites_for_itself() -> None:
    text = "Small dogs fly [1]. The carrier may weigh 8 kg [1]. It is kept closed [1]."

    assert cited(text, hit(PETS)) == PETS.replace(". ", ".\n").split("\n")


def test_two_markers_of_one_sentence_each_quote_their_passage() -> None:
    other = hit("The carrier must be leak-proof. Bring food.", title="Carriers")

    assert cited("The carrier weighs 8 kg and is leak-proof [1][2].", hit(PETS), other) == [
        "The carrier weighs at most 8 kg.",
        "The carrier must be leak-proof.",
    ]


def test_table_row_is_cited_as_it_stands_in_the_source() -> None:
    assert cited("“Fare: Flex · Bag: two, 23 kg” [1]", hit(TABLE)) == ["| Flex | two, 23 kg |"]


def test_citation_points_into_the_document() -> None:
    document = f"# Pets\n\n{PETS}\n"
    passage = hit(PETS, start=document.index(PETS))
    found = filtered(["It stays closed [1]."], passages=1)
    (citation,) = cite(found.text, found.markers, [passage])

    assert document[citation.start : citation.end] == citation.quote == "It stays closed."


def test_passage_without_units_is_cited_whole() -> None:
    assert cited("Something [1].", hit("See below:")) == ["See below:"]


def test_no_markers_give_no_citations() -> None:
    assert cite("Nothing is cited.", [], [hit(PETS)]) == ()
