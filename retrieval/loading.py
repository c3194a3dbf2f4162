"""A file's bytes -> Markdown. Conversion is markitdown's; the clutter of web pages is cut first."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from retrieval.errors import LoadingError

if TYPE_CHECKING:
    from markitdown import MarkItDown

PLAIN = (".md", ".markdown", ".txt")
CONVERTED = (".html", ".htm", ".pdf", ".docx", ".csv")
SUPPORTED = PLAIN + CONVERTED
MAX_TITLE_CHARS = 120

_CLUTTER = ("nav", "footer", "aside", "script", "style", "noscript", "form", "template")


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
    text = text.replace("\r\n", "\n").replace("\x00", "").strip() + "\n"
    if not text.strip():
        raise LoadingError(
            f"{name!r} holds no text; if it is a scan, run it through text recognition first"
        )
    if suffix == ".pdf":
        text = _promote_first_line(text)
    return LoadedText(_title(text, name), text)


def _decode(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LoadingError(
            f"{name!r} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error


def _convert(name: str, content: bytes, suffix: str) -> str:
    from markitdown import MarkItDownException, StreamInfo

    if suffix in (".html", ".htm"):
        content = _strip_clutter(content)
    info = StreamInfo(extension=suffix, charset="utf-8" if suffix == ".csv" else None)
    try:
        result = _converter().convert_stream(io.BytesIO(content), stream_info=info)
    except (MarkItDownException, ValueError, KeyError, OSError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "unreadable content"
        raise LoadingError(
            f"{name!r} could not be read as {suffix}: {reason}; check that it opens elsewhere"
        ) from error
    return str(result.text_content)


@cache
def _converter() -> MarkItDown:
    from markitdown import MarkItDown

    return MarkItDown(enable_plugins=False)


def _strip_clutter(content: bytes) -> bytes:
    """Drop what surrounds a page's text: menus, footers, scripts."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(content, "html.parser")
    breadcrumbs = soup.select("[class*=crumb], [role=navigation], [aria-label*=readcrumb]")
    for element in (*soup.find_all(_CLUTTER), *breadcrumbs):
        if not element.decomposed:
            element.decompose()
    main = soup.find("main") or soup.find("article") or soup.body or soup
    return f"<html><head><meta charset='utf-8'></head><body>{main}</body></html>".encode()


def _promote_first_line(text: str) -> str:
    """Give text that came without headings its first line as one."""
    first, _, rest = text.partition("\n")
    if re.search(r"^#", text, re.MULTILINE) or len(first) > MAX_TITLE_CHARS:
        return text
    return f"# {first.strip()}\n{rest}"


def _title(text: str, name: str) -> str:
    heading = re.search(r"^#{1,6}\s+(.+?)\s*#*\s*$", text, re.MULTILINE)
    if heading is None:
        return PurePosixPath(name).stem.replace("-", " ").replace("_", " ").strip()
    plain = re.sub(r"\s*\{[^{}]*\}\s*$", "", heading.group(1))  # attribute blocks: `{ #anchor }`
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", plain)
    return re.sub(r"[`*]", "", plain).strip()[:MAX_TITLE_CHARS]
