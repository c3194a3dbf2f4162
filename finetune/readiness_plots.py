"""The readiness report's pictures, as SVG to stand inside a page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from io import StringIO
from typing import TYPE_CHECKING

from finetune.form import Habit
from finetune.lengths import Lengths
from finetune.volatile_facts import VolatileFact

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_IN = 4.6  # as wide as a phone at one point a pixel, so that letters keep their size
BAR_IN = 0.32
MAIN, OTHER = "#2b5c8a", "#c8642b"
LONGEST_BINS = 40


def lengths_plot(lengths: Lengths) -> str:
    """How many examples have how many tokens, and where the context ends if any come near."""
    figure, axes = _figure(2.6)
    axes.hist(lengths.examples, bins=_bins(lengths.examples), color=MAIN)
    if max(lengths.examples) > lengths.max_tokens / 2:
        axes.axvline(lengths.max_tokens, color=OTHER, linestyle="--", label="context")
        axes.legend(frameon=False)
    axes.set_xlabel("tokens")
    axes.set_ylabel("examples")
    return _svg(figure)


def habits_plot(habits: Sequence[Habit]) -> str:
    """The share of the majority in each habit; mixed ones in another colour."""
    figure, axes = _figure(BAR_IN * len(habits) + 0.6)
    names = [habit.name for habit in habits]
    shares = [100 * habit.majority_rate for habit in habits]
    colours = [OTHER if habit.mixed else MAIN for habit in habits]
    axes.barh(names, shares, color=colours)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of answers that do what most do")
    return _svg(figure)


def facts_plot(facts: Sequence[VolatileFact]) -> str:
    """How many facts there are of each kind, the most frequent first."""
    counts = Counter(str(fact.kind) for fact in facts).most_common()
    figure, axes = _figure(BAR_IN * len(counts) + 0.8)
    bars = axes.barh([kind for kind, _ in counts], [count for _, count in counts], color=OTHER)
    axes.bar_label(bars, padding=3)
    axes.margins(x=0.12)
    axes.invert_yaxis()
    axes.set_xlabel("facts")
    return _svg(figure)


def _bins(lengths: Sequence[int]) -> int:
    return min(LONGEST_BINS, max(len(set(lengths)), 1))


def _figure(height_in: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    return figure, axes


def _svg(figure: Figure) -> str:
    """The element alone, as wide as its place; the page's letters, and the same bytes each time."""
    from matplotlib import rc_context

    written = StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "twofold"}):
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    element = written.getvalue().partition("<svg")[2]
    head, _, body = element.partition(">")
    head = re.sub(r'\s(?:width|height)="[^"]*"', "", head)
    return f"<svg{head}>{body}".strip()
