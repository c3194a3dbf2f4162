"""`twofold train check FILE`: whether examples are fit to be trained on."""

from __future__ import annotations

import argparse
from pathlib import Path

from serving.cli.options import count, write_json
from serving.cli.readiness_tables import print_report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this command takes."""
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="examples: .jsonl, .jsonl.gz, .json, .csv, .parquet"
    )
    parser.add_argument(
        "--validation", type=Path, metavar="FILE", help="held-out examples; none may be in FILE"
    )
    parser.add_argument(
        "--tokenizer", metavar="NAME", help="count tokens with this model's; default: an estimate"
    )
    parser.add_argument(
        "--max-tokens", type=count, metavar="N", help="the context to train in; default: 2048"
    )
    parser.add_argument(
        "--answers", type=Path, metavar="FILE", help="your answers to the checklist, TOML"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the report with plots")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every finding")


def run(options: argparse.Namespace) -> int:
    """Exit status 0 when nothing is wrong and there are enough examples, else 1."""
    from finetune.checklist import read_answers
    from finetune.example_files import read_examples
    from finetune.lengths import CONTEXT_TOKENS, lengths_of
    from finetune.readiness import check

    answers = read_answers(options.answers) if options.answers else {}
    examples = read_examples(options.file)
    validation = read_examples(options.validation) if options.validation else []
    lengths = lengths_of(
        examples, tokenizer=options.tokenizer, max_tokens=options.max_tokens or CONTEXT_TOKENS
    )
    report = check(examples, lengths, validation=validation, answers=answers)
    print_report(report)
    if options.json:
        write_json(options.json, report.record())
    if options.html:
        from finetune.readiness_page import write_page

        write_page(report, options.html, title=options.file.name)
    return 0 if report.clean and report.verdict.enough else 1
