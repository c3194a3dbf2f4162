"""`twofold evaluate retrieval --dataset DIR`: what each stage of the search adds."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.cli.options import add_profile, count, settings_of, write_json
from serving.cli.stage_tables import print_summaries, progress_bars
from serving.settings import BUNDLED, Settings

if TYPE_CHECKING:
    from eval.beir import Dataset
    from eval.corpus_index import Pipeline
    from eval.stage_report import Summary

NO_RERANKER = "none"
DEFAULT_SEED = 20261126


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this command takes."""
    add_datasets(parser)
    parser.add_argument(
        "--reranker",
        metavar="NAME",
        help=f"a cross-encoder by name or folder, {BUNDLED!r} or {NO_RERANKER!r}; "
        "default: the configured one, else the bundled one",
    )
    parser.add_argument(
        "--candidates", type=count, metavar="N", help="passages that the reranker reads"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the stages: .svg or .png")
    add_profile(parser)


def add_datasets(parser: argparse.ArgumentParser) -> None:
    """Which sets and queries, where the indexes lie meanwhile, and where the figures go."""
    parser.add_argument(
        "--dataset",
        action="append",
        required=True,
        type=Path,
        dest="datasets",
        metavar="DIR",
        help="a set in BEIR layout: corpus.jsonl and queries.jsonl (or .gz), qrels.tsv or "
        "qrels/test.tsv; may be given again",
    )
    parser.add_argument(
        "--queries", type=count, metavar="N", help="measure a fixed sample of N queries of each"
    )
    parser.add_argument(
        "--seed", type=int, default=DEFAULT_SEED, metavar="S", help="decides the sample"
    )
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="keep the indexes here for the next run"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure")


def run(options: argparse.Namespace) -> int:
    """Search every set, then print a table for each, and their means."""
    from eval.measures import score
    from eval.retrieval import measure
    from eval.stage_plot import check_plot, plot
    from eval.stage_report import summarise_all

    # 1. What can be wrong, before the time that embedding takes.
    score({}, {})
    if options.plot:
        check_plot(options.plot)
    settings = with_reranker(settings_of(options), options.reranker, options.candidates)
    datasets = read_datasets(options)

    # 2. The searches.
    pipeline = build_pipeline(settings)
    with progress_bars() as bars:
        measured = [
            measure(each, pipeline, work=options.work, track=bars.track) for each in datasets
        ]

    # 3. What they say.
    summaries = summarise_all(measured)
    print_summaries(summaries, pipeline)
    if options.json:
        write_json(options.json, _record(summaries, pipeline, options))
    if options.plot:
        plot(summaries[: len(measured)], options.plot)
    return 0


def read_datasets(options: argparse.Namespace) -> list[Dataset]:
    """The sets, or samples of their queries."""
    from eval.beir import read_dataset

    datasets = [read_dataset(folder) for folder in options.datasets]
    if options.queries:
        datasets = [each.sample(options.queries, seed=options.seed) for each in datasets]
    return datasets


def with_reranker(settings: Settings, given: str | None, candidates: int | None) -> Settings:
    """The settings with what was asked for, and time without end."""
    chosen = given or settings.reranker or BUNDLED
    return settings.model_copy(
        update={
            "reranker": None if chosen == NO_RERANKER else chosen,
            "rerank_candidates": candidates or settings.rerank_candidates,
            "rerank_budget_ms": math.inf,  # what is measured is quality, on any machine
        }
    )


def build_pipeline(settings: Settings) -> Pipeline:
    """The models and settings that are measured."""
    from eval.corpus_index import Pipeline
    from finetune.retrieval_data import SETS
    from serving import wiring

    return Pipeline(
        embedder=wiring.build_embedder(settings),
        reranking=wiring.build_reranking(settings),
        passage_tokens=settings.passage_tokens,
        language=settings.language,
        trained_on=SETS if BUNDLED in (settings.embedder, settings.reranker) else (),
    )


def _record(
    summaries: Sequence[Summary], pipeline: Pipeline, options: argparse.Namespace
) -> dict[str, Any]:
    """`stages` and all beside it: the mean of the sets, or the only one; each in `datasets`."""
    from eval.intervals import RESAMPLES
    from eval.paired import PERMUTATIONS

    reranking = pipeline.reranking
    count = len(options.datasets)
    each, means = summaries[:count], summaries[count:]
    return {
        "embedder": pipeline.embedder.name,
        "reranker": reranking.reranker.name if reranking else None,
        "rerank_candidates": reranking.candidates if reranking else None,
        "rerank_weight": reranking.weight if reranking else None,
        "passage_tokens": pipeline.passage_tokens,
        "language": pipeline.language,
        "queries_per_dataset": options.queries,
        "seed": options.seed,
        "bootstrap_resamples": RESAMPLES,
        "permutations": PERMUTATIONS,
        **(means or each)[0].record(),
        "not_trained_on": means[1].record() if len(means) > 1 else None,
        "datasets": [summary.sets[0].record() | summary.record() for summary in each],
    }
