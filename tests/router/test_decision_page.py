"""The page and its pictures: whole, marked, escaped, and with nothing from outside."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from router.analysis import Analysis, analyse
from router.cost_plots import monthly_plot, ownership_plot
from router.decision_page import page, write_page
from router.drawing import Shape, words
from router.errors import PageError
from router.flow import ENDS, QUESTIONS, flow_of
from router.flow_chart import PLACES, WAYS, flow_chart
from router.prices import changed_prices, default_prices
from router.sections import sections
from router.use_case import Readiness
from tests.router.use_cases import changed, use_case

HOSTILE = '<script>alert("x")</script>'


def analysis(**answers: str) -> Analysis:
    return analyse(changed(answers), default_prices())


def text_of(shape: Shape) -> str:
    return " ".join(ET.fromstring(shape.markup()).itertext())


def test_chart_draws_every_question_every_end_and_both_ways_out() -> None:
    assert set(PLACES) == set(QUESTIONS) | set(ENDS)
    assert {(way.question, way.yes) for way in WAYS} == {
        (name, yes) for name in QUESTIONS for yes in (True, False)
    }


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.question}-{way.yes}")
def test_way_starts_at_its_question_and_ends_where_the_answer_leads(way: object) -> None:
    assert way in WAYS
    found = next(each for each in WAYS if each == way)
    question = QUESTIONS[found.question]
    for name, (x, y) in (
        (found.question, found.corners[0]),
        (question.yes if found.yes else question.no, found.corners[-1]),
    ):
        place = PLACES[name]
        assert place.x <= x <= place.x + place.width
        assert place.y <= y <= place.y + place.height


def test_chart_marks_the_path_and_its_end_alone() -> None:
    chart = flow_chart(flow_of(use_case()))
    root = ET.fromstring(chart.markup())
    marked = [line for line in root.iter("polyline") if line.get("stroke") == "var(--retrieved)"]
    ends = [box for box in root.iter("rect") if box.get("fill") == "var(--retrieved)"]
    assert len(marked) == 4  # weights no, documents yes, style yes, examples yes
    assert len(ends) == 1
    assert float(ends[0].get("x") or -1) == PLACES["hybrid"].x
    assert root.get("aria-label", "").endswith("Hybrid (RAG + LoRA Fine-tuning)")


@pytest.mark.parametrize("queries", ["1", "100k", "1000000000000"])
def test_cost_plots_stay_inside_their_frame(queries: str) -> None:
    for shape in (monthly_plot(analysis(monthly_queries=queries)),):
        root = ET.fromstring(shape.markup())
        _, _, width, height = map(float, (root.get("viewBox") or "").split())
        for line in root.iter("polyline"):
            for point in (line.get("points") or "").split():
                x, y = map(float, point.split(","))
                assert 0 <= x <= width
                assert 0 <= y <= height


def test_monthly_plot_names_the_systems_and_the_volume() -> None:
    said = text_of(monthly_plot(analysis()))
    for part in ("RAG only", "Fine-tuned only", "Hybrid", "One 24 GB GPU", "yours: 100,000"):
        assert part in said


def test_plots_of_prices_that_are_nothing_are_drawn() -> None:
    nothing = changed_prices(
        {
            "api": {
                "llm_per_million_tokens": 0,
                "embedding_per_million_tokens": 0,
                "vector_db_per_month": 0,
            },
            "self_hosted": {"hosting_per_month": 0, "training": 0},
            "gpu": {"price_per_hour": 0, "training": 0},
            "ownership": {"engineer_hour": 0},
        }
    )
    free = analyse(use_case(), nothing)
    assert "yours" in text_of(monthly_plot(free))
    assert "$0" in text_of(ownership_plot(free))


def test_shapes_are_escaped_in_words_and_attributes() -> None:
    markup = words(HOSTILE, (1, 2), aria_label='"><b>').markup()
    assert HOSTILE not in markup
    root = ET.fromstring(markup)
    assert root.text == HOSTILE
    assert root.get("aria-label") == '"><b>'


def test_page_needs_nothing_beside_it_and_runs_nothing() -> None:
    text = page(analysis(latency_requirement="50ms"))
    assert not re.search(r"https?:|<script|<link|src=|@import|url\(", text)
    assert text.count("<svg") == 3
    assert "CONFLICT:" in text


def test_page_escapes_what_people_wrote() -> None:
    ready = Readiness(HOSTILE, 200, 200, (HOSTILE,))
    text = page(analyse(replace(use_case(), readiness=ready), default_prices()))
    assert "<script" not in text
    assert "&lt;script&gt;" in text


@pytest.mark.parametrize("place", ["", "."])
def test_page_in_the_place_of_a_folder_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(PageError, match="is a folder; name a file"):
        write_page(analysis(), tmp_path if not place else Path(place))
    assert list(tmp_path.iterdir()) == []


def test_page_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(PageError, match="cannot be written"):
        write_page(analysis(), tmp_path / "taken" / "decision.html")


def test_page_shows_every_section(tmp_path: Path) -> None:
    file = tmp_path / "new" / "decision.html"
    whole = analysis()
    write_page(whole, file)
    text = file.read_text(encoding="utf-8")
    titles = [section.title for section in sections(whole)]
    assert len(titles) == 8
    assert "$570 a month" in titles
    assert re.findall(r"<h2>(.*?)</h2>", text) == [title.replace("'", "&#x27;") for title in titles]
    assert list(file.parent.iterdir()) == [file]
