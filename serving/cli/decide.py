"""`twofold decide`: RAG, fine-tuning or both for a use case, with its cost."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from serving.cli import decide_analyze, decide_quick
from serving.cli.main import command_parser


def run(arguments: Sequence[str]) -> int:
    """Analyse a use case, decide in thirty seconds, or print the price file."""
    parser = command_parser("decide")
    kinds = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    analyze = kinds.add_parser(
        "analyze", help="weigh six answers: recommendation, reasons, costs, what would change it"
    )
    decide_analyze.add_arguments(analyze, answers_required=not any(map(_interactive, arguments)))
    quick = kinds.add_parser("quick", help="six yes-or-no questions, until one decides")
    decide_quick.add_arguments(quick)
    kinds.add_parser("prices", help="print the price file, to copy and to change for --prices")
    options = parser.parse_args(arguments)
    if options.what == "prices":
        from router.prices import PRICES_FILE

        sys.stdout.write(PRICES_FILE.read_text(encoding="utf-8"))
        return 0
    if options.what == "quick":
        return decide_quick.run(options, quick)
    return decide_analyze.run(options, analyze)


def _interactive(word: str) -> bool:
    """Whether a word is --interactive, or short for it, as the parser takes it."""
    return len(word) > len("--") and "--interactive".startswith(word)
