"""Which words of a passage can be quoted, and exactly where they stand."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.sentences import plain, units

PARAGRAPH = "Bags may weigh 8 kg. Coats travel free, e.g. Anoraks do. What else? Ask us!"
TABLE = """\
Fees by route:

| Route | Fee |
|---|---:|
| Short-haul | €18 |
| **Long-haul** | |
"""
MARKDOWN = st.text(alphabet=st.sampled_from(" \n\t.!?:|-#*_`[]()<>“”\"'a bZ19€é🧳"), max_size=80)


def texts(text: str, *, table_header: str = "") -> list[str]:
    return [unit.text for unit in units(text, table_header=table_header)]


def test_paragraph_splits_into_sentences_but_not_at_abbreviations() -> None:
    assert texts(PARAGRAPH) == [
        "Bags may weigh 8 kg.",
        "Coats travel free, e.g. Anoraks do.",
        "What else?",
        "Ask us!",
    ]


@pytest.mark.parametrize(
    "mark",
    [
        "## Title",
        "```python",
        "/// note",
        "/// tip | A title",
        "///",
        "::: warning",
        '!!! note "Read this"',
        "{* ../../src/app.py hl[1:3] *}",
        "{% include 'a.md' %}",
    ],
)
def test_marks_of_blocks_are_no_text(mark: str) -> None:
    assert texts(f"It costs €5.\n{mark}\nDogs pay more.\n") == ["It costs €5.", "Dogs pay more."]


def test_units_lie_where_they_say() -> None:
    found = units(PARAGRAPH)

    assert [PARAGRAPH[unit.start : unit.end] for unit in found] == texts(PARAGRAPH)


def test_sentence_that_runs_over_lines_is_one_unit() -> None:
    text = "A bag may\nweigh 8 kg. A coat\ntravels free."
    found = units(text)

    assert [unit.text for unit in found] == ["A bag may weigh 8 kg.", "A coat travels free."]
    assert text[found[1].start : found[1].end] == "A coat\ntravels free."


@pytest.mark.parametrize("text", ["It costs 3.50 euros.", "See No. 5 below.", "At 8 a.m. sharp."])
def test_dot_that_ends_no_sentence_does_not_split(text: str) -> None:
    assert texts(text) == [text]


def test_bold_lead_in_belongs_to_its_sentence() -> None:
    assert texts("**VAT invoice.** On request only. It names the company.") == [
        "VAT invoice. On request only.",
        "It names the company.",
    ]
    assert texts("- **Late?** Call us. **No** fee. **Free.**") == [
        "Late? Call us.",
        "No fee.",
        "Free.",
    ]


def test_list_items_lose_their_marks() -> None:
    text = "Take with you:\n- a passport\n* a visa\n10) two photos. Both recent."

    assert texts(text) == ["a passport", "a visa", "two photos.", "Both recent."]


def test_list_item_unit_lies_behind_its_mark() -> None:
    text = "- **a** passport"
    (unit,) = units(text)

    assert (unit.text, text[unit.start : unit.end]) == ("a passport", "**a** passport")


def test_table_rows_name_their_columns_and_skip_empty_cells() -> None:
    assert texts(TABLE) == ["Route: Short-haul · Fee: €18", "Route: Long-haul"]


def test_table_row_unit_spans_its_line() -> None:
    found = units(TABLE)

    assert TABLE[found[0].start : found[0].end] == "| Short-haul | €18 |"


def test_rows_below_a_cut_table_take_the_header_they_are_given() -> None:
    assert texts("| Medium-haul | €24 |", table_header="| Route | Fee |") == [
        "Route: Medium-haul · Fee: €24"
    ]


def test_row_with_more_cells_than_columns_keeps_them() -> None:
    assert texts("| a | b | c |", table_header="| One |") == ["One: a · b · c"]


def test_escaped_pipe_stays_in_its_cell() -> None:
    assert texts(r"| a \| b | 5 |", table_header="| Choice | Fee |") == ["Choice: a | b · Fee: 5"]


@pytest.mark.parametrize(
    "text", ["", "   ", "# Heading", "---", "...", "```", "Fees by route:", "|---|---|", "| | |"]
)
def test_what_states_nothing_is_no_unit(text: str) -> None:
    assert units(text) == []


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("a [link](https://x.example/a_b) here", "a link here"),
        ("an ![image](x.png) here", "an image here"),
        ("**bold**, *leaning* and _so_ on", "bold, leaning and so on"),
        ("`code_name` stays, snake_case_name too", "code_name stays, snake_case_name too"),
        ("2 * 3 * 4", "2 * 3 * 4"),
        ("a <b>bold</b> word", "a bold word"),
        (" two\n lines ", "two lines"),
    ],
)
def test_plain_shows_what_a_reader_sees(markdown: str, shown: str) -> None:
    assert plain(markdown) == shown


def test_line_break_in_a_table_cell_parts_words() -> None:
    assert texts("| 8 kg<br>per bag |") == ["8 kg per bag"]


@given(MARKDOWN)
@settings(max_examples=150, deadline=None)
def test_units_are_in_order_and_inside_the_text(text: str) -> None:
    found = units(text)

    for unit in found:
        assert 0 <= unit.start < unit.end <= len(text)
        assert plain(text[unit.start : unit.end]) == unit.text or "|" in text
    assert all(one.end <= two.start for one, two in pairwise(found))
