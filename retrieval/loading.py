"""A file's bytes -> Markdown. Conversion is markitdown's; the clutter of web pages is cut first."""

from __future__ import annotations

import html
import io
import re
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from retrieval.errors import LoadingError

if TYPE_CHECKING:
    from bs4 import Tag
    from markitdown import MarkItDown

PLAIN = (".md", ".markdown", ".txt")
CONVERTED = (".html", ".htm", ".pdf", ".docx", ".csv")
SUPPORTED = PLAIN + CONVERTED
MAX_TITLE_CHARS = 120

MAX_BREADCRUMB_CHARS = 200
MAX_HTML_DEPTH = 100

_CLUTTER = "nav, footer, aside, script, style, noscript, template, button, input, select, textarea"
_BREADCRUMBS = "[class*=crumb], [role=navigation], [aria-label*=readcrumb]"
_ZIP_MEMBER = {".docx": "word/document.xml"}


@dataclass(frozen=True, slots=True)
class LoadedText:
    """A file as Markdown, with the title to show for it."""

    title: str
    text: str


def load(name: str, content: bytes) -> LoadedText:
    """Turn a file into Markdown by its suffix.

    Raises:
        LoadingError: the suffix is unknown, the content is not what the suffix says, or the file
            holds no text.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in SUPPORTED:
        raise LoadingError(
            f"{name!r} has the unsupported type {suffix!r}; supported are {', '.join(SUPPORTED)}"
        )
    text = _decode(name, content) if suffix in PLAIN else _convert(name, content, suffix)
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "").strip() + "\n"
    if not text.strip():
        raise LoadingError(
            f"{name!r} holds no text; if it is a scan, run it through text recognition first"
        )
    if suffix == ".pdf":
        text = _promote_first_line(text)
    first = text.partition("\n")[0]
    if suffix == ".pdf" and len(first) <= MAX_TITLE_CHARS:
        return LoadedText(_title(text, fallback=first), text)
    stem = PurePosixPath(name).stem.replace("-", " ").replace("_", " ").strip()
    return LoadedText(_title(text, fallback=stem), text)


def _decode(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LoadingError(
            f"{name!r} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error


def _convert(name: str, content: bytes, suffix: str) -> str:
    from bs4.exceptions import ParserRejectedMarkup
    from markitdown import MarkItDownException, StreamInfo

    _check_type(name, content, suffix)
    info = StreamInfo(extension=suffix, charset="utf-8" if suffix == ".csv" else None)
    try:
        if suffix in (".html", ".htm"):
            content = _strip_clutter(content)
        elif suffix == ".csv":
            content = _decode(name, content).encode()
        result = _converter().convert_stream(io.BytesIO(content), stream_info=info)
    except (
        MarkItDownException,
        ParserRejectedMarkup,
        ValueError,
        KeyError,
        OSError,
        RuntimeError,
    ) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[-1] if lines else type(error).__name__
        raise LoadingError(
            f"{name!r} could not be read as {suffix}: {reason}; check that it opens elsewhere"
        ) from error
    return str(result.text_content)


def _check_type(name: str, content: bytes, suffix: str) -> None:
    """A file must be what its name says; the converter alone would guess and go on."""
    fits = True
    if suffix == ".pdf":
        fits = b"%PDF-" in content[:1024]
    elif suffix in _ZIP_MEMBER:
        try:
            fits = _ZIP_MEMBER[suffix] in zipfile.ZipFile(io.BytesIO(content)).namelist()
        except zipfile.BadZipFile:
            fits = False
    if not fits:
        raise LoadingError(f"{name!r} is no {suffix} file, whatever its name says")


@cache
def _converter() -> MarkItDown:
    from markitdown import MarkItDown

    return MarkItDown(enable_plugins=False)


def _strip_clutter(content: bytes) -> bytes:
    """Drop what surrounds a page's text: menus, footers, scripts, breadcrumbs."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(content, "html.parser")
    trails = [
        element
        for element in soup.select(_BREADCRUMBS)
        if len(element.get_text()) <= MAX_BREADCRUMB_CHARS and not element.select("h1, h2, h3")
    ]
    for element in (*soup.select(_CLUTTER), *trails):
        if not element.decomposed:
            element.decompose()
    articles = soup.find_all("article")
    main = soup.find("main") or (articles[0] if len(articles) == 1 else None) or soup.body or soup
    inside = str(main)
    if _depth(main) > MAX_HTML_DEPTH:  # the converter recurses; such a page keeps its text alone
        inside = "".join(f"<p>{html.escape(line)}</p>" for line in main.stripped_strings)
    return f"<html><head><meta charset='utf-8'></head><body>{inside}</body></html>".encode()


def _depth(root: Tag) -> int:
    """Levels of elements below the root."""
    deepest, waiting = 0, [(root, 0)]
    while waiting:
        element, depth = waiting.pop()
        deepest = max(deepest, depth)
        waiting += [(child, depth + 1) for child in element.find_all(True, recursive=False)]
    return deepest


def _promote_first_line(text: str) -> str:
    """Give text that came without headings its first line as one."""
    first, _, rest = text.partition("\n")
    if not rest.strip() or re.search(r"^#", text, re.MULTILINE) or len(first) > MAX_TITLE_CHARS:
        return text
    return f"# {first.strip()}\n{rest}"


def _title(text: str, *, fallback: str) -> str:
    """The first heading outside of code."""
    in_code = False
    for line in text.splitlines():
        if line.lstrip().startswith(("```", "~~~")):
            in_code = not in_code
        marks = len(line) - len(line.lstrip("#"))
        if not in_code and 1 <= marks <= 6 and line[marks : marks + 1].isspace():
            plain = plain_heading(line[marks:].strip().rstrip("#"))
            if plain:
                return plain[:MAX_TITLE_CHARS]
    return fallback


def plain_heading(heading: str) -> str:
    """A heading without links, code marks, emphasis and trailing attributes: `{ #anchor }`."""
    text = heading.rstrip()
    if text.endswith("}") and "{" in text:
        text = text[: text.rindex("{")]
    return re.sub(r"[`*]", "", re.sub(r"\[([^\[\]]*)\]\([^()]*\)", r"\1", text)).strip()
