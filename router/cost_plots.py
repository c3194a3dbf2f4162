"""Costs drawn: a month by the number of queries, and the whole time by category."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from router.amounts import dollars, thousands
from router.analysis import GPU, SYSTEMS, Analysis
from router.costs import Bill
from router.drawing import Shape, box, line, picture, words
from router.intents import Route
from router.ownership import CATEGORIES

WIDTH = 400.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 382.0, 14.0, 222.0
POINTS = 48
DECADES = 2  # shown on each side of the case's own volume
COLOURS = {Route.RAG: "retrieved", Route.FINE_TUNED: "trained", Route.HYBRID: "both"}
CATEGORY_COLOURS = ("part-1", "part-2", "part-3", "part-4")
BAR, GAP = 26.0, 46.0


@dataclass(frozen=True, slots=True)
class Curve:
    """A system's bill over the volume, and how it is drawn."""

    name: str
    bill: Bill
    colour: str
    dashes: str


@dataclass(frozen=True, slots=True)
class Scale:
    """A logarithmic axis from the lowest to the highest value, on a stretch of the picture."""

    lowest: float
    highest: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where a value stands."""
        share = math.log(value / self.lowest) / math.log(self.highest / self.lowest)
        return self.start + share * (self.end - self.start)

    def decades(self) -> list[float]:
        """The powers of ten on it."""
        first = math.ceil(math.log10(self.lowest) - 1e-9)
        last = math.floor(math.log10(self.highest) + 1e-9)
        return [10.0**power for power in range(first, last + 1)]


def monthly_plot(analysis: Analysis) -> Shape:
    """Both axes logarithmic; a curve ends where its machine can do no more."""
    curves, volume = _curves(analysis), analysis.case.monthly_queries
    across = Scale(max(1, volume / 10**DECADES), volume * 10**DECADES, LEFT, RIGHT)
    ends = (across.lowest, across.highest)
    amounts = [curve.bill.monthly(each) for curve in curves for each in ends]
    lowest, highest = min(filter(None, amounts), default=1.0), max(amounts)
    up = Scale(lowest / 1.6, max(highest, lowest) * 1.6, BOTTOM, TOP)
    shapes = [
        *_grid(across, up),
        *_volume_mark(across.at(volume), volume),
        *(_curve(curve, across, up) for curve in curves),
        *_legend([(c.name, c.colour, c.dashes) for c in curves], BOTTOM + 52),
    ]
    return picture(WIDTH, BOTTOM + 78, "Cost of a month by the number of queries", shapes)


def ownership_plot(analysis: Analysis) -> Shape:
    """A bar for each system, its categories one after the other."""
    most = max(each.total for each in analysis.owned.values()) or 1.0
    shapes: list[Shape] = []
    for row, (route, name) in enumerate(SYSTEMS.items()):
        top = row * GAP + 18
        owned = analysis.owned[route]
        shapes.append(words(name, (4, top - 5), size=12))
        start = 4.0
        for amount, colour in zip(owned.parts, CATEGORY_COLOURS, strict=True):
            width = amount / most * (WIDTH - 64)
            shapes.append(box((start, top), (width, BAR), fill=f"var(--{colour})"))
            start += width
        total = thousands(owned.total)
        shapes.append(words(total, (start + 6, top + 18), size=12.5, font_weight="600"))
    bottom = len(SYSTEMS) * GAP + 22
    names = zip(CATEGORIES, CATEGORY_COLOURS, strict=True)
    shapes += _legend([(name, colour, "") for name, colour in names], bottom)
    return picture(WIDTH, bottom + 26, "Cost over the whole time by category", shapes)


def _curves(analysis: Analysis) -> list[Curve]:
    dashes = {Route.HYBRID: "7 4", Route.FINE_TUNED: "", Route.RAG: ""}
    curves = [
        Curve(name, analysis.bills[route], COLOURS[route], dashes[route])
        for route, name in SYSTEMS.items()
    ]
    return [*curves, Curve(GPU, analysis.gpu, "muted", "2 3")]


def _curve(curve: Curve, across: Scale, up: Scale) -> Shape:
    last = min(across.highest, curve.bill.capacity or across.highest)
    last = max(last, across.lowest)
    step = (last / across.lowest) ** (1 / (POINTS - 1))
    volumes = [across.lowest * step**number for number in range(POINTS)]
    points = [
        (across.at(each), up.at(max(curve.bill.monthly(each), up.lowest))) for each in volumes
    ]
    dashes = {"stroke_dasharray": curve.dashes} if curve.dashes else {}
    return line(points, curve.colour, stroke_width=2.2, **dashes)


def _grid(across: Scale, up: Scale) -> Iterator[Shape]:
    for amount in up.decades():
        y = up.at(amount)
        yield line([(LEFT, y), (RIGHT, y)], "line", stroke_width=1)
        label = dollars(amount) if amount >= 1 else f"${amount:g}"
        yield words(
            label.removesuffix(".00"), (LEFT - 6, y + 4), text_anchor="end", fill="var(--muted)"
        )
    for volume in across.decades():
        x = across.at(volume)
        yield line([(x, BOTTOM), (x, BOTTOM + 4)], "muted", stroke_width=1)
        yield words(_short(volume), (x, BOTTOM + 17), text_anchor="middle", fill="var(--muted)")
    yield line([(LEFT, BOTTOM), (RIGHT, BOTTOM)], "muted", stroke_width=1)
    middle = ((LEFT + RIGHT) / 2, BOTTOM + 33)
    yield words("queries a month", middle, text_anchor="middle", fill="var(--muted)")


def _volume_mark(x: float, volume: int) -> Iterator[Shape]:
    yield line([(x, TOP), (x, BOTTOM)], "ink", stroke_width=1, stroke_dasharray="1 3")
    yield words(f"yours: {volume:,}", (x + 5, TOP + 10))


def _legend(items: Sequence[tuple[str, str, str]], top: float) -> Iterator[Shape]:
    """Two columns."""
    for number, (name, colour, dashes) in enumerate(items):
        x, y = 8 + (number % 2) * 196.0, top + (number // 2) * 18.0
        dashed = {"stroke_dasharray": dashes} if dashes else {}
        yield line([(x, y - 4), (x + 22, y - 4)], colour, stroke_width=4, **dashed)
        yield words(name, (x + 29, y))


def _short(volume: float) -> str:
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if volume >= size:
            return f"{volume / size:g}{unit}"
    return f"{volume:g}"
