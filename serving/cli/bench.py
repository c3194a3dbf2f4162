"""`twofold bench`: how long things take."""

from __future__ import annotations

from collections.abc import Sequence

from serving.cli import bench_retrieval
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
    return bench_retrieval.run(parser.parse_args(arguments))
