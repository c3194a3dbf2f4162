"""`twofold bench finetune --config FILE`: what each training method costs and gives."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from serving.cli.options import console, count, write_json
from starter import bundle

if TYPE_CHECKING:
    from eval.finetune_methods import MethodResult

METHODS = ("qlora", "lora", "prompt_tuning", "full")
TEXTS = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this command takes."""
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="as for `twofold train`"
    )
    parser.add_argument(
        "--method",
        action="append",
        choices=METHODS,
        dest="methods",
        help="one of them; may be given again; default: all four",
    )
    parser.add_argument(
        "--general",
        type=Path,
        default=bundle.DOCUMENTS,
        metavar="PATH",
        help="general text whose loss tells what is forgotten: .md, .txt, or a folder "
        "(default: the bundled documents)",
    )
    parser.add_argument(
        "--texts", type=count, default=TEXTS, metavar="N", help=f"paragraphs of it ({TEXTS})"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the runs' folder, a new one"
    )
    parser.add_argument("--force", action="store_true", help="on fewer than 100 examples too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure")


def run(options: argparse.Namespace) -> int:
    """Train with each method, and print them side by side."""
    from eval.finetune_methods import measure_methods
    from eval.forgetting import read_texts
    from finetune.configuration import Method, load_configuration

    configuration = load_configuration(options.config)
    texts = read_texts(options.general, limit=options.texts)
    out = console()
    found = measure_methods(
        configuration,
        [Method(name) for name in dict.fromkeys(options.methods or METHODS)],
        options.out,
        texts=texts,
        force=options.force,
        done=lambda result: out.print(f"{result.method}: {result.seconds / 60:.1f} minutes"),
    )
    _print(found, len(texts))
    if options.json:
        write_json(
            options.json,
            {
                "configuration": configuration.model_dump(mode="json"),
                "general_texts": len(texts),
                "methods": [result.record() for result in found],
            },
        )
    return 0


def _print(found: list[MethodResult], texts: int) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("")
    heads = (
        "trained parameters",
        "share",
        "peak MiB",
        "seconds",
        "tokens/s",
        "loss before",
        "after",
        "general text before",
        "after",
        "forgotten a text",
        "95 % interval",
    )
    for head in heads:
        table.add_column(head, justify="right")
    for each in found:
        table.add_row(
            each.method,
            f"{each.trained_parameters:,}",
            f"{each.trained_rate:.2%}",
            f"{each.peak_memory_mib:,.0f}",
            f"{each.seconds:,.0f}",
            f"{each.tokens_per_s:,.0f}",
            f"{each.loss_before:.3f}",
            f"{each.loss_after:.3f}",
            f"{each.general_before:.3f}",
            f"{each.general_after:.3f}",
            f"{each.forgotten.value:+.3f}",
            f"{each.forgotten.low:+.3f} to {each.forgotten.high:+.3f}",
        )
    out = console()
    out.print(table, "", sep="\n")
    out.print(
        "Losses: mean -ln p of a token, of the validation answers and of general text. Forgotten:\n"
        f"the mean change over {texts} paragraphs, intervals by bootstrap. One run each."
    )
