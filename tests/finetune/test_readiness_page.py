from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from finetune.lengths import lengths_of
from finetune.readiness import Report, check
from finetune.readiness_page import page, write_page
from tests.finetune.answer_sets import from_answers, varied

NASTY = "<script>alert('$5 & $x')</script>"


class Tags(HTMLParser):
    """Counts elements and says which are left open."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def report(*answers: str) -> Report:
    examples = from_answers(answers)
    return check(examples, lengths_of(examples))


def tags(text: str) -> Tags:
    parser = Tags()
    parser.feed(text)
    return parser


def test_page_with_facts_has_three_plots_and_closes_what_it_opens() -> None:
    found = tags(page(report("It is $5.", "It is so."), title="train.jsonl"))
    assert found.open == []
    assert found.seen.count("svg") == 3
    assert found.seen.count("details") == 1


def test_page_without_facts_has_two_plots_and_no_problem() -> None:
    examples = varied(3)
    text = page(check(examples, lengths_of(examples)), title="train.jsonl")
    assert tags(text).seen.count("svg") == 2
    assert "None found." in text


def test_page_escapes_what_the_examples_hold() -> None:
    text = page(report(*["It is."] * 20, NASTY, f"N/A {NASTY}"), title=f"{NASTY}.jsonl")
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_page_needs_nothing_beside_it() -> None:
    text = page(report("It is $5."), title="train.jsonl")
    assert not re.search(r'(?:src|href)="(?!#)', text)
    assert "@import" not in text


def test_page_of_the_same_report_is_the_same() -> None:
    found = report("It is $5.", "It is so.")
    assert page(found, title="a") == page(found, title="a")


def test_write_page_makes_the_folder_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "reports" / "a.html"
    write_page(report("It is so."), path, title="a")
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list(path.parent.iterdir()) == [path]
