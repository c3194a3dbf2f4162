"""The decision's page in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.browser.conftest import ChatPage

pytestmark = pytest.mark.browser

PHONE = (390, 844)
REPORT_IS_IN_SIGHT = """
const { top } = document.querySelector(".verdict").getBoundingClientRect();
return top < innerHeight / 2;
"""
RECOMMENDATION = "[data-part='recommendation']"


@pytest.fixture
def decision(page: ChatPage) -> ChatPage:
    """The page with its first report, reached as a reader reaches it."""
    page.one("#open-decide").click()
    page.until(lambda: page.all(RECOMMENDATION))
    return page


def write(page: ChatPage, name: str, text: str) -> None:
    field = page.one(f"#{name}")
    field.clear()
    field.send_keys(text)


def choose(page: ChatPage, name: str, value: str) -> None:
    page.run(f"document.querySelector(\"[name='{name}'][value='{value}']\").click()")


def test_page_opens_with_the_report_of_its_example(decision: ChatPage) -> None:
    assert decision.one(RECOMMENDATION).text == "Hybrid (RAG + LoRA Fine-tuning)"
    assert "Knowledge changes weekly → RAG for dynamic content" in decision.one(".verdict").text
    assert "$570 a month" in [title.text for title in decision.all(".card h3")]
    assert len(decision.all(".card svg")) == 3


def text_of(page: ChatPage, selector: str) -> str:
    """Read at once: the report may be replaced between finding an element and reading it."""
    return str(page.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector))


def test_report_follows_every_change(decision: ChatPage) -> None:
    choose(decision, "style_requirements", "low")
    decision.until(lambda: text_of(decision, RECOMMENDATION) == "RAG Only")
    write(decision, "latency_requirement", "50ms")
    decision.until(lambda: "impossible within 50 ms" in text_of(decision, ".notice.conflict"))

    assert "semantic cache" in text_of(decision, ".notice.conflict")


def test_answer_that_is_not_understood_marks_its_field(decision: ChatPage) -> None:
    write(decision, "latency_requirement", "2")
    decision.until(lambda: decision.one("#problem").is_displayed())
    said = decision.one("#problem").text
    marked = decision.one("#latency_requirement").get_attribute("aria-invalid")
    write(decision, "latency_requirement", "2s")
    decision.until(lambda: not decision.one("#problem").is_displayed())

    assert "has no unit" in said
    assert marked == "true"
    assert decision.one("#latency_requirement").get_attribute("aria-invalid") is None


def test_markup_in_an_answer_is_shown_as_text(decision: ChatPage) -> None:
    write(decision, "knowledge_changes", "<img src=x onerror=window.ran=1>")
    decision.until(lambda: decision.one("#problem").is_displayed())

    assert "<img src=x" in decision.one("#problem").text
    assert decision.run("return window.ran ?? null") is None


def test_phone_has_no_horizontal_scroll_and_goes_to_the_report(page: ChatPage) -> None:
    page.load(size=PHONE)
    chat = page.fits_its_width()
    page.one("#open-decide").click()
    page.until(lambda: page.all(RECOMMENDATION))
    fits = page.fits_its_width()
    page.run("document.querySelector('#use-case button[type=submit]').click()")
    page.until(lambda: page.run(REPORT_IS_IN_SIGHT))

    assert (chat, fits) == (True, True)
    assert page.run("return document.querySelector('.top').scrollWidth <= innerWidth")
