"""`twofold train plan MODEL`: what training takes, before anything is loaded."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from serving.cli.options import console, count, write_json

if TYPE_CHECKING:
    from finetune.memory_plan import Recipe
    from finetune.model_shapes import Shape
    from finetune.plan_choice import Choice
    from finetune.time_plan import TimePlan

DEFAULT_GPU = "RTX 4090"
DEFAULT_METHOD, METHODS = "qlora", ("qlora", "lora", "prompt_tuning", "full")
DEFAULT_TARGETS, TARGETS = "attention", ("attention", "all-linear")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this command takes."""
    parser.add_argument(
        "model", metavar="MODEL", help="a known name, or a folder with the model's config.json"
    )
    parser.add_argument(
        "--method", choices=METHODS, default=DEFAULT_METHOD, help="what is trained (default qlora)"
    )
    parser.add_argument(
        "--vram-gib",
        type=_positive,
        metavar="G",
        help="memory of the GPU (default: that of --gpu, 24 for the RTX 4090)",
    )
    parser.add_argument("--rank", type=count, default=16, metavar="R", help="of LoRA (default 16)")
    parser.add_argument(
        "--targets",
        choices=TARGETS,
        default=DEFAULT_TARGETS,
        help="layers that get LoRA (default attention)",
    )
    parser.add_argument(
        "--batch", type=count, metavar="N", help="sequences at a time; default: as many as fit"
    )
    parser.add_argument(
        "--effective-batch",
        type=count,
        default=16,
        metavar="N",
        help="sequences a step, by accumulation (default 16)",
    )
    parser.add_argument(
        "--max-tokens",
        type=count,
        metavar="N",
        help="length of the longest example; default: 2048, or less where that does not fit",
    )
    _add_time(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure")


def _add_time(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--examples", type=count, metavar="N", help="plan the time for as many")
    parser.add_argument(
        "--mean-tokens", type=count, metavar="N", help="mean length; default: the longest"
    )
    parser.add_argument(
        "--epochs", type=_positive, default=3.0, metavar="N", help="passes over them (default 3)"
    )
    parser.add_argument(
        "--gpu", default=DEFAULT_GPU, metavar="NAME", help=f"for the time (default {DEFAULT_GPU})"
    )


def run(options: argparse.Namespace) -> int:
    """Print the plan; 1 when nothing fits."""
    from finetune.model_shapes import find_shape
    from finetune.plan_choice import BATCHES, LENGTHS, choose
    from finetune.time_plan import find_gpu

    shape = find_shape(options.model)
    if options.vram_gib is None:
        options.vram_gib = find_gpu(options.gpu).vram_gib
    recipe = _recipe(options)
    choice = choose(
        shape,
        options.vram_gib,
        recipe,
        effective_batch=max(options.effective_batch, options.batch or 1),
        batches=(options.batch,) if options.batch else BATCHES,
        lengths=_lengths(options, shape) if options.max_tokens else LENGTHS,
    )
    time = _time(options, shape, recipe, choice)
    _print(options, shape, choice, time)
    if options.json:
        write_json(options.json, _record(options, shape, choice, time))
    return 0 if choice.fits else 1


def _positive(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{word!r} is not a number above 0")
    return value


def _recipe(options: argparse.Namespace) -> Recipe:
    from finetune.configuration import Method, Targets
    from finetune.memory_plan import ADAPTED, Recipe

    return Recipe(
        method=Method(options.method), rank=options.rank, adapted=ADAPTED[Targets(options.targets)]
    )


def _lengths(options: argparse.Namespace, shape: Shape) -> tuple[int]:
    from finetune.errors import ConfigurationError

    if options.max_tokens > shape.context:
        raise ConfigurationError(
            f"--max-tokens {options.max_tokens}: {shape.name} reads at most {shape.context:,} "
            "tokens; shorten the examples"
        )
    return (options.max_tokens,)


def _time(
    options: argparse.Namespace, shape: Shape, recipe: Recipe, choice: Choice
) -> TimePlan | None:
    """Without examples, the speed alone is of interest: one example stands for them."""
    from finetune.time_plan import Work, find_gpu, plan_time

    gpu = find_gpu(options.gpu)
    if not choice.fits:
        return None
    work = Work(
        examples=options.examples or 1,
        mean_tokens=options.mean_tokens or choice.load.max_tokens,
        epochs=options.epochs,
    )
    return plan_time(shape, recipe, choice.load, work, gpu)


def _print(
    options: argparse.Namespace, shape: Shape, choice: Choice, time: TimePlan | None
) -> None:
    from rich.table import Table

    out = console()
    load, plan = choice.load, choice.plan
    title = f"{shape.name}, {options.method}, batch {load.batch} x {load.max_tokens:,} tokens"
    table = Table(title=title, box=None, pad_edge=False, title_justify="left")
    table.add_column("")
    table.add_column("GiB", justify="right")
    table.add_column("")
    for term in (*plan.terms, *plan.overhead):
        table.add_row(term.name, f"{term.gib:.2f}", term.formula)
    table.add_row("in all", f"{plan.total_gib:.2f}", f"of {options.vram_gib:g}")
    out.print(table)
    out.print()
    for line in _verdict(options, choice, time):
        out.print(line)


def _verdict(options: argparse.Namespace, choice: Choice, time: TimePlan | None) -> list[str]:
    load = choice.load
    if not choice.fits:
        lines = [f"Does not fit {options.vram_gib:g} GiB. What would:"]
        return lines + [f"  {each.change}: {each.total_gib:.1f} GiB" for each in choice.remedies]
    lines = [
        f"Fits: batch_size = {load.batch}, accumulation = {load.accumulation}, "
        f"max_tokens = {load.max_tokens}",
        f"Longest that fits with batch {load.batch}: {choice.longest_tokens:,} tokens",
    ]
    if time is None:
        return lines
    lines.append(f"{time.tokens_per_s:,.0f} tokens/s on {time.gpu}, estimated")
    if options.examples:
        lines.append(
            f"{options.examples:,} examples, {options.epochs:g} epochs: {time.steps:,} steps, "
            f"{_duration(time.seconds)}"
        )
    return lines


def _duration(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _record(
    options: argparse.Namespace, shape: Shape, choice: Choice, time: TimePlan | None
) -> dict[str, object]:
    load = choice.load
    return {
        "model": shape.name,
        "parameters": shape.parameters,
        "method": options.method,
        "vram_gib": options.vram_gib,
        "fits": choice.fits,
        "batch_size": load.batch,
        "accumulation": load.accumulation,
        "max_tokens": load.max_tokens,
        "longest_tokens": choice.longest_tokens,
        "memory": choice.plan.record(),
        "time": time.record() if time else None,
        "remedies": [
            {"change": each.change, "total_gib": each.total_gib} for each in choice.remedies
        ],
    }
