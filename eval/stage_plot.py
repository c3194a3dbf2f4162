"""The stages as a picture: a panel for each measure, a line for each set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eval.errors import EvaluationError, needs_extra
from eval.measures import MEASURES
from eval.stage_report import Summary

FORMATS = (".svg", ".png")


def check_plot(path: Path) -> None:
    """Refuse what cannot be drawn, before anything is measured.

    Raises:
        EvaluationError: matplotlib is missing, or the suffix is another than those of `FORMATS`.
    """
    if path.suffix.lower() not in FORMATS:
        raise EvaluationError(f"{path}: a plot's suffix is {' or '.join(FORMATS)}")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise needs_extra(error) from error


def plot(summaries: Sequence[Summary], path: Path) -> None:
    """Draw them with their 95 % intervals; the file appears whole or not at all."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(MEASURES), 4), layout="constrained")
    panels = figure.subplots(1, len(MEASURES), sharey=True)  # (measures,) axes
    for measure, axes in zip(MEASURES, panels, strict=True):
        for place, summary in enumerate(summaries):
            rows = [row[measure] for row in summary.estimates.values()]
            aside = 0.08 * (place - (len(summaries) - 1) / 2)  # sets stand side by side
            axes.errorbar(
                [stage + aside for stage in range(len(rows))],
                [row.value for row in rows],
                yerr=[
                    [row.value - row.low for row in rows],
                    [row.high - row.value for row in rows],
                ],
                fmt="o-",
                capsize=3,
                label=summary.label,
            )
            axes.set_xticks(range(len(rows)), list(map(str, summary.estimates)))
        axes.set_xlim(-0.5, len(rows) - 0.5)
        axes.set_title(measure)
        axes.grid(axis="y", alpha=0.3)
    panels[0].set_ylim(bottom=0)
    panels[0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.tmp")
    figure.savefig(scratch, format=path.suffix.lower()[1:])
    scratch.replace(path)
