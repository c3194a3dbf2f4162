"""The analysis of a use case as one page that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

from router.analysis import Analysis
from router.errors import PageError
from router.sections import Section, sections

TEMPLATE_FILE = Path(__file__).with_name("decision_page.html")


def write_page(analysis: Analysis, path: Path) -> None:
    """The page as a file; it appears whole or not at all.

    Raises:
        PageError: nothing can be written there.
    """
    text = page(analysis)
    if path.is_dir():
        raise PageError(f"{path}: is a folder; name a file, such as decision.html")
    scratch = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(path)
    except OSError as error:
        raise PageError(f"{path}: cannot be written: {error.strerror}") from error


def page(analysis: Analysis) -> str:
    """HTML with the pictures inside; all that people wrote is escaped."""
    decision = analysis.decision
    warnings = [_notice("warning", text) for text in decision.warnings]
    conflicts = [_notice("conflict", each.text, each.possible_with) for each in decision.conflicts]
    return Template(TEMPLATE_FILE.read_text(encoding="utf-8")).substitute(
        recommendation=escape(decision.recommendation),
        reasons=_items(decision.reasons),
        notices="\n".join([*warnings, *conflicts]),
        sections="\n".join(map(_section, sections(analysis))),
    )


def _section(section: Section) -> str:
    parts = [
        _items(section.items),
        section.drawing.markup() if section.drawing else "",
        _table(section.table) if section.table else "",
        *(f'<p class="quiet">{escape(note)}</p>' for note in section.notes),
    ]
    return f"<section><h2>{escape(section.title)}</h2>{''.join(parts)}</section>"


def _notice(kind: str, text: str, possible_with: Iterable[str] = ()) -> str:
    remedies = _items(possible_with)
    more = f"<p>Possible with:</p>{remedies}" if remedies else ""
    return f'<div class="{kind}"><p><strong>{kind.upper()}:</strong> {escape(text)}</p>{more}</div>'


def _items(texts: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<ul>{items}</ul>" if items else ""


def _table(rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows[1:]
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'
