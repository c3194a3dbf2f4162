"""The decision's flow chart, with the path of one case marked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from router.drawing import Shape, box, line, paragraph, picture, words
from router.flow import ENDS, QUESTIONS, Flow

WIDTH, HEIGHT = 400.0, 408.0
ARROW = 4.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a question or an end stands: its upper left corner and its size."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> tuple[float, float]:
        """Of the box."""
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass(frozen=True, slots=True)
class Way:
    """Out of a question by one answer: corners of the line, and where the answer is written."""

    question: str
    yes: bool
    corners: tuple[tuple[float, float], ...]
    label: tuple[float, float]


PLACES = {
    "weights": Place(6, 6, 254, 44),
    "kept_out": Place(306, 6, 88, 44),
    "documents": Place(36, 90, 328, 44),
    "style": Place(6, 178, 188, 52),
    "training": Place(206, 178, 188, 52),
    "examples": Place(6, 266, 118, 44),
    "examples_alone": Place(206, 266, 118, 44),
    "hybrid": Place(6, 346, 90, 56),
    "rag_only": Place(104, 346, 90, 56),
    "fine_tuning": Place(206, 346, 90, 56),
    "default": Place(304, 346, 90, 56),
}
WAYS = (
    Way("weights", True, ((260, 28), (306, 28)), (272, 22)),
    Way("weights", False, ((133, 50), (133, 90)), (139, 74)),
    Way("documents", True, ((100, 134), (100, 178)), (106, 160)),
    Way("documents", False, ((300, 134), (300, 178)), (306, 160)),
    Way("style", True, ((50, 230), (50, 266)), (56, 251)),
    Way("style", False, ((166, 230), (166, 346)), (172, 251)),
    Way("training", True, ((250, 230), (250, 266)), (256, 251)),
    Way("training", False, ((366, 230), (366, 346)), (372, 251)),
    Way("examples", True, ((50, 310), (50, 346)), (56, 331)),
    Way("examples", False, ((114, 310), (114, 346)), (120, 331)),
    Way("examples_alone", True, ((250, 310), (250, 346)), (256, 331)),
    Way("examples_alone", False, ((314, 310), (314, 346)), (320, 331)),
)


def flow_chart(flow: Flow) -> Shape:
    """Questions in boxes, recommendations in rounded ones; what the case passes stands out."""
    shapes = [
        *(shape for taken in (False, True) for shape in _ways(flow, taken=taken)),
        *(shape for name in QUESTIONS for shape in _question(flow, name)),
        *(shape for name in ENDS for shape in _end(flow, name)),
    ]
    label = f"Flow chart of the decision; the path taken ends at {flow.recommendation}"
    return picture(WIDTH, HEIGHT, label, shapes)


def _ways(flow: Flow, *, taken: bool) -> Iterator[Shape]:
    """Those that are taken are drawn last, above the others."""
    for way in WAYS:
        if flow.takes(way.question, yes=way.yes) is taken:
            colour, width = ("retrieved", 2.4) if taken else ("line", 1.4)
            yield line(way.corners, colour, stroke_width=width)
            yield _arrow(way, colour)
            weight = {"font_weight": "600"} if taken else {"fill": "var(--muted)"}
            yield words("yes" if way.yes else "no", way.label, size=11, **weight)


def _arrow(way: Way, colour: str) -> Shape:
    (from_x, _), (x, y) = way.corners[-2:]
    corners = (
        [(x, y), (x - ARROW, y - 2 * ARROW), (x + ARROW, y - 2 * ARROW)]
        if from_x == x
        else [(x, y), (x - 2 * ARROW, y - ARROW), (x - 2 * ARROW, y + ARROW)]
    )
    points = " ".join(f"{px:g},{py:g}" for px, py in corners)
    return Shape("polygon", {"points": points, "fill": f"var(--{colour})"})


def _question(flow: Flow, name: str) -> Iterator[Shape]:
    place, taken = PLACES[name], flow.passes(name)
    yield box(
        (place.x, place.y),
        (place.width, place.height),
        rx=8,
        fill="var(--surface)",
        stroke="var(--retrieved)" if taken else "var(--line)",
        stroke_width=2.0 if taken else 1.2,
    )
    colour = "var(--ink)" if taken else "var(--muted)"
    yield from paragraph(QUESTIONS[name].text, place.middle, place.width - 12, size=12, fill=colour)


def _end(flow: Flow, name: str) -> Iterator[Shape]:
    place, taken = PLACES[name], flow.end == name
    yield box(
        (place.x, place.y),
        (place.width, place.height),
        rx=16,
        fill="var(--retrieved)" if taken else "var(--sunken)",
        stroke="var(--retrieved)" if taken else "var(--line)",
    )
    colour = "var(--surface)" if taken else "var(--muted)"
    yield from paragraph(
        ENDS[name], place.middle, place.width - 4, size=10.5, fill=colour, font_weight="600"
    )
