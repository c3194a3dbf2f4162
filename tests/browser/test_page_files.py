"""What holds for the page's files without a browser: nothing inline, nothing from outside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "serving" / "web"
FILES = sorted(path for path in WEB.iterdir() if path.suffix in {".html", ".css", ".js", ".svg"})
PAGES = [path for path in FILES if path.suffix == ".html"]
TEXT_AS_MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser"
    r"|\beval\(|new Function|srcdoc"
)
OUTSIDE = re.compile(
    r"(?:https?:|[\"'(])//(?!www\.w3\.org/2000/svg)[a-z0-9-]+\.[a-z]+", re.IGNORECASE
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_file_never_turns_text_into_markup(path: Path) -> None:
    assert TEXT_AS_MARKUP.findall(path.read_text()) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_file_names_no_outside_host(path: Path) -> None:
    assert OUTSIDE.findall(path.read_text()) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_page_has_no_inline_script_or_style(path: Path) -> None:
    page = path.read_text()

    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=", page) == []


def test_every_file_that_is_named_exists() -> None:
    pages = "".join(path.read_text() for path in PAGES)
    names = set(re.findall(r'/static/([\w.-]+)"', pages))
    for path in WEB.glob("*.js"):
        names |= set(re.findall(r'from "\./([\w.-]+)"', path.read_text()))

    assert names
    assert {name for name in names if not (WEB / name).is_file()} == set()
