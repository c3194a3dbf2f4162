"""`twofold evaluate exports --dataset DIR`: what int8 and windows cost, beside the same weights."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from serving.cli.bundled_weights import bundled_weights
from serving.cli.connection import CommandError
from serving.cli.evaluate_retrieval import (
    add_datasets,
    build_pipeline,
    read_datasets,
    with_reranker,
)
from serving.cli.options import (
    add_profile,
    console,
    count,
    quiet_libraries,
    settings_of,
    write_json,
)
from serving.cli.stage_tables import progress_bars
from serving.settings import BUNDLED
from starter import bundle

if TYPE_CHECKING:
    from eval.beir import Dataset
    from eval.reference import Cost

CANDIDATES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this command takes."""
    add_datasets(parser)
    parser.add_argument(
        "--candidates",
        type=count,
        default=CANDIDATES,
        metavar="N",
        help=f"passages that both rerankers read (default {CANDIDATES})",
    )
    add_profile(parser)


def run(options: argparse.Namespace) -> int:
    """Search every set three times, and print what the exchange of a model changes."""
    from eval.reference import export_costs
    from retrieval.onnx_reranker import CALIBRATION_FILE, Calibration

    settings = with_reranker(settings_of(options), BUNDLED, options.candidates)
    weights = bundled_weights(settings)
    if settings.embedder != BUNDLED or weights is None:
        raise CommandError(
            f"only the bundled embedder is exported, not {settings.embedder!r}: "
            "there is nothing to compare"
        )
    quiet_libraries()
    datasets, pipeline = read_datasets(options), build_pipeline(settings)
    calibration = Calibration.load(bundle.RERANKER_ADAPTER / CALIBRATION_FILE)
    found = []
    with progress_bars() as bars:
        for dataset in datasets:
            costs = export_costs(
                dataset, pipeline, weights, calibration, work=options.work, track=bars.track
            )
            found.append((dataset, costs))
    _print(found, options.candidates)
    if options.json:
        write_json(
            options.json,
            [
                {
                    "dataset": dataset.name,
                    "n": len(dataset.queries),
                    "candidates": options.candidates,
                    "models": [cost.record() for cost in costs],
                }
                for dataset, costs in found
            ],
        )
    return 0


def _print(found: list[tuple[Dataset, list[Cost]]], candidates: int) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("nDCG@10", "beside", "n", "theirs", "ours", "ours - theirs", "95 % interval"):
        table.add_column(heading)
    for dataset, costs in found:
        for cost in costs:
            change = cost.change.difference
            table.add_row(
                dataset.name,
                cost.model,
                str(change.n),
                f"{cost.reference.value:.3f}",
                f"{cost.ours.value:.3f}",
                f"{change.value:+.4f}",
                f"{change.low:+.4f} to {change.high:+.4f}",
            )
    out = console()
    out.print(table, "", sep="\n")
    out.print(
        "The same weights. encode: the dense order alone. predict: the fused order with the\n"
        f"scores of {candidates} passages added; it reads them whole, ours a window of each."
    )
