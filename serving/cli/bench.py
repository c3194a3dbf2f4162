"""`twofold bench`: what things cost, and what they give for it."""

from __future__ import annotations

from collections.abc import Sequence

from serving.cli import bench_finetune, bench_generation, bench_retrieval
from serving.cli.main import command_parser


def run(arguments: Sequence[str]) -> int:
    """Measure one of the things that can be measured."""
    parser = command_parser("bench")
    kinds = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    retrieval = kinds.add_parser(
        "retrieval",
        help="each stage of the search at any number of passages, beside what others would use",
    )
    bench_retrieval.add_arguments(retrieval)
    finetune = kinds.add_parser(
        "finetune",
        help="the four training methods on the same data: memory, time, quality, forgetting",
    )
    bench_finetune.add_arguments(finetune)
    generation = kinds.add_parser(
        "generation",
        help="chats in several voices at once, against one after the other: tokens a second",
    )
    bench_generation.add_arguments(generation)
    options = parser.parse_args(arguments)
    if options.what == "generation":
        return bench_generation.run(options)
    if options.what == "finetune":
        return bench_finetune.run(options)
    return bench_retrieval.run(options)
