"""The chat page in a real browser, against a real server with the starter documents.

`chat_feed.js` answers single questions in the server's place where a test needs a slow stream, a
failure, or a text that no generator would write.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from selenium.webdriver.common.keys import Keys

if TYPE_CHECKING:
    from tests.browser.conftest import ChatPage

pytestmark = pytest.mark.browser

QUESTION = "How big may my cabin bag be?"
HOSTILE = '<script>window.ran = 1</script> <img src="/x" onerror="window.ran = 1">'
PHONE = (390, 844)


def event(delta: dict[str, object], **more: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": more.pop("finish_reason", None)}
    return (
        b"data: " + json.dumps({"choices": [choice], **more}, ensure_ascii=False).encode() + b"\n\n"
    )


def ending(**twofold: object) -> bytes:
    """End an answer as the server does, with what it says about it."""
    about = {"route": "rag", "outcome": "answered", "citations": [], "timings_ms": {}} | twofold
    return event({"annotations": []}, finish_reason="stop", twofold=about) + b"data: [DONE]\n\n"


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def test_question_gets_answer_with_badge_and_sources(page: ChatPage) -> None:
    page.ask_and_wait(QUESTION)

    assert page.answer_text()
    assert page.one(".answer [data-part='badge']").text in {"Documents", "Voice", "Both"}
    assert "Route:" in (page.one(".answer .evidence summary").get_attribute("title") or "")
    assert page.all(".answer button.marker")
    assert page.all(".answer .source-place")[0].text


def test_marker_opens_source_with_quoted_words_marked(page: ChatPage) -> None:
    page.ask_and_wait(QUESTION)
    page.open_first_source()

    marked = words(" ".join(mark.text for mark in page.all("#source-text mark")))
    quoted = words(page.all(".answer .source-quote")[0].text)
    address = page.all(".answer a.source")[0].get_attribute("href") or ""
    document = httpx.get(address, headers={"Accept": "application/json"}).json()
    panel = page.one("#source-panel")
    top, bottom = panel.rect["y"], panel.rect["y"] + panel.rect["height"]
    assert marked == quoted
    assert " ".join(marked) in " ".join(words(document["passage"]["text"]))
    assert page.one("#source-title").text == document["title"]
    assert panel.get_attribute("role") == "dialog"
    assert top < page.one("#source-text mark").rect["y"] < bottom


def test_escape_closes_source_and_returns_focus(page: ChatPage) -> None:
    page.ask_and_wait(QUESTION)
    page.open_first_source()

    page.driver.switch_to.active_element.send_keys(Keys.ESCAPE)

    page.until(lambda: not page.one("#source-panel").is_displayed())
    assert "marker" in (page.driver.switch_to.active_element.get_attribute("class") or "")


def test_streamed_text_grows_though_chunks_split_characters(page: ChatPage) -> None:
    page.feed()
    page.ask("Anything")
    stream = event({"role": "assistant", "content": ""}) + event({"content": "Bags 🧳 fly"})
    cut = stream.index("🧳".encode()) + 2

    page.push(stream[:cut])
    page.push(stream[cut:])
    page.until(lambda: page.answer_text() == "Bags 🧳 fly")
    page.push(event({"content": " free."}).replace(b"\n", b"\r\n"))
    page.until(lambda: page.answer_text() == "Bags 🧳 fly free.")
    busy = page.one(".answer").get_attribute("aria-busy")
    page.push(ending())
    page.until(lambda: page.all(".answer[data-state='done']"))

    assert busy == "true"
    assert page.one(".answer").get_attribute("aria-busy") == "false"
    assert page.one(".answer [data-part='badge']").text == "Documents"


def test_stop_keeps_what_has_arrived(page: ChatPage) -> None:
    page.feed()
    page.ask("Anything")
    page.push(event({"content": "The first half"}))
    page.until(lambda: page.answer_text() == "The first half")

    page.one("#stop").click()

    page.until(lambda: page.one("#send").is_displayed())
    assert page.answer_text() == "The first half"
    assert "Stopped." in page.one(".answer .notes").text


def test_follow_up_sends_conversation_and_new_conversation_forgets_it(page: ChatPage) -> None:
    page.one("#route input[value='twofold:rag']").click()
    page.feed(body=(event({"content": "One."}) + ending()).decode())
    page.ask_and_wait("First?")
    page.ask_and_wait(QUESTION)
    page.one("#new-conversation").click()
    page.ask_and_wait(QUESTION)

    first, second, third = (request["body"] for request in page.requests())
    assert first["model"] == "twofold:rag"
    assert second["messages"] == [
        {"role": "user", "content": "First?"},
        {"role": "assistant", "content": "One."},
        {"role": "user", "content": QUESTION},
    ]
    assert third["messages"] == [{"role": "user", "content": QUESTION}]


@pytest.mark.parametrize(
    ("status", "before"), [(503, b""), (200, event({"content": "Half an answer"}))]
)
def test_error_is_shown_and_next_question_works(page: ChatPage, status: int, before: bytes) -> None:
    error = json.dumps({"error": {"message": "The index is resting.", "type": "server_error"}})
    body = error if status != 200 else f"{before.decode()}data: {error}\n\n"
    page.feed(status=status, body=body)
    page.ask("Anything")
    page.until(lambda: page.all(".problem"))
    shown = page.one(".problem").text

    page.ask_and_wait(QUESTION)

    assert "The index is resting." in shown
    assert page.requests()[1]["body"]["messages"] == [{"role": "user", "content": QUESTION}]


def test_unauthorized_asks_for_key_and_sends_it(page: ChatPage) -> None:
    page.feed(status=401, body=json.dumps({"error": {"message": "An API key is needed."}}))
    page.ask(QUESTION)
    page.until(lambda: page.one("#key-dialog").is_displayed())

    page.one("#key-input").send_keys("secret" + Keys.ENTER)

    page.until(lambda: page.all(".answer[data-state='done']"))
    assert page.requests()[1]["headers"]["Authorization"] == "Bearer secret"
    assert page.run("return [sessionStorage.length, localStorage.length]") == [1, 0]


def test_answer_with_markup_is_shown_as_text(page: ChatPage) -> None:
    page.feed(body=(event({"content": HOSTILE}) + ending()).decode())
    page.ask_and_wait("Anything")

    assert page.answer_text() == HOSTILE
    assert not page.all("#conversation script, #conversation img")
    assert page.run("return window.ran ?? null") is None


def test_uploaded_document_with_markup_is_shown_as_text(page: ChatPage, tmp_path: Path) -> None:
    upload = tmp_path / "hostile.md"
    upload.write_text(f"# Hostile {HOSTILE}\n\nBefore {HOSTILE} after.\n\n{HOSTILE}\n")
    page.one("#open-documents").click()
    page.one(".upload summary").click()
    page.one("#upload-file").send_keys(str(upload))
    page.one("#upload-collection").clear()
    page.one("#upload-collection").send_keys("browser-test")
    page.one("#upload-send").click()
    row = "[data-collection='browser-test'] li"
    page.until(lambda: page.all(row))

    page.one(f"{row} [data-action='open']").click()
    page.until(lambda: page.one("#source-text").text)
    shown = page.one("#source-text").text
    elements = page.all("#source-panel script, #source-panel img, #documents-list img")
    page.one(f"{row} [data-action='delete']").click()
    page.until(lambda: page.one("#confirm-yes").is_displayed())
    page.one("#confirm-yes").click()
    page.until(lambda: not page.all(row))

    assert f"Before {HOSTILE} after." in shown
    assert elements == []
    assert page.run("return window.ran ?? null") is None
    assert not page.one("#source-panel").is_displayed()


def test_citation_address_opens_document_at_passage(page: ChatPage) -> None:
    page.ask_and_wait(QUESTION)
    address = page.all(".answer a.source")[0].get_attribute("href") or ""

    page.load(address.removeprefix(page.url))
    page.until(lambda: page.all("#source-text .passage, #source-text .in-passage"))
    page.one("#close-source").click()

    page.until(lambda: page.driver.current_url == page.url + "/")
    assert not page.one("#source-panel").is_displayed()


def test_phone_has_no_horizontal_scroll_and_sheets_close_with_back(page: ChatPage) -> None:
    page.load(size=PHONE)
    start = page.fits_its_width()
    page.ask_and_wait(QUESTION)
    page.one(".answer .evidence summary").click()
    answered = page.fits_its_width()
    page.open_first_source()
    page.until(lambda: page.one("#source-panel").rect["x"] == 0)  # the sheet slides in
    sheet = page.one("#source-panel").size
    source = page.fits_its_width()
    page.driver.back()
    page.until(lambda: not page.one("#source-panel").is_displayed())
    page.one("#open-documents").click()
    documents = page.fits_its_width()

    assert (start, answered, source, documents) == (True, True, True, True)
    assert (sheet["width"], sheet["height"]) == PHONE
    assert page.answer_text()
