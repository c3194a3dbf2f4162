"""Pictures as shapes: written as SVG into a page, or sent as data to whoever draws them.

Colours are CSS variables (`var(--retrieved)`), so that the page around decides light and dark.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

LETTER_EM = 0.6  # mean width of a letter in sans-serif type, against its size
LINE_EM = 1.22


@dataclass(frozen=True, slots=True)
class Shape:
    """An SVG element, its attributes, and the shapes or words inside it."""

    tag: str
    attributes: Mapping[str, str | float]
    children: tuple[Shape | str, ...] = ()

    def markup(self) -> str:
        """As SVG; everything that is text is escaped."""
        attributes = "".join(
            f' {name}="{escape(_plain(value))}"' for name, value in self.attributes.items()
        )
        inside = "".join(
            escape(child) if isinstance(child, str) else child.markup() for child in self.children
        )
        return f"<{self.tag}{attributes}>{inside}</{self.tag}>"

    def record(self) -> dict[str, Any]:
        """For JSON: tag, attributes, children."""
        return {
            "tag": self.tag,
            "attributes": {name: _plain(value) for name, value in self.attributes.items()},
            "children": [
                child if isinstance(child, str) else child.record() for child in self.children
            ],
        }


def picture(width: float, height: float, label: str, shapes: Iterable[Shape]) -> Shape:
    """The whole, as wide as its place; `label` is read to those who don't see it."""
    frame = {"viewBox": f"0 0 {_plain(width)} {_plain(height)}", "role": "img", "aria-label": label}
    return Shape("svg", frame, tuple(shapes))


def line(points: Iterable[tuple[float, float]], colour: str, **attributes: str | float) -> Shape:
    """Through the points, in their order."""
    path = " ".join(f"{_plain(x)},{_plain(y)}" for x, y in points)
    fixed = {"points": path, "fill": "none", "stroke": f"var(--{colour})"}
    return Shape("polyline", fixed | _dashed(attributes))


def box(corner: tuple[float, float], size: tuple[float, float], **attributes: str | float) -> Shape:
    """A rectangle from its upper left corner."""
    place = {"x": corner[0], "y": corner[1], "width": size[0], "height": size[1]}
    return Shape("rect", place | _dashed(attributes))


def words(
    text: str, at: tuple[float, float], *, size: float = 11.5, **attributes: str | float
) -> Shape:
    """One line of text; `at` is where its baseline starts, or its middle by `text_anchor`."""
    place = {"x": at[0], "y": at[1], "font-size": size}
    return Shape("text", {"fill": "var(--ink)"} | place | _dashed(attributes), (text,))


def paragraph(
    text: str, middle: tuple[float, float], width: float, *, size: float, **attributes: str | float
) -> Iterable[Shape]:
    """Lines as wide as fits, around a middle."""
    lines = textwrap.wrap(text, max(1, int(width / (size * LETTER_EM))), break_on_hyphens=True)
    top = middle[1] - (len(lines) - 1) * size * LINE_EM / 2 + size * 0.35
    for number, each in enumerate(lines):
        at = (middle[0], top + number * size * LINE_EM)
        yield words(each, at, size=size, text_anchor="middle", **attributes)


def _dashed(attributes: Mapping[str, str | float]) -> dict[str, str | float]:
    return {name.replace("_", "-"): value for name, value in attributes.items()}


def _plain(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
