"""`twofold bench generation`: many chats at once, against one after the other."""

from __future__ import annotations

import argparse
import tempfile
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.cli.options import console, count, write_json

if TYPE_CHECKING:
    from eval.bench.generation import GenerationResult

CHATS, ROUNDS, PROMPT_TOKENS, NEW_TOKENS = 16, 5, 300, 60
RANDOM_VOICES, RANDOM_RANK, SEED = ("first", "second"), 16, 20261129
RATIO_BAR = 3.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this command takes."""
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="a folder or hub name (default: 8 million random weights with two random adapters)",
    )
    parser.add_argument(
        "--adapters", type=Path, metavar="DIR", help="the registry of the model's adapters"
    )
    parser.add_argument(
        "--voice",
        action="append",
        default=[],
        dest="voices",
        metavar="NAME",
        help="an adapter; may be given again. The base model is always the first voice",
    )
    for name, default, what in (
        ("chats", CHATS, "chats at once"),
        ("rounds", ROUNDS, "of which the median is taken"),
        ("prompt-tokens", PROMPT_TOKENS, "of each prompt, at least"),
        ("new-tokens", NEW_TOKENS, "that each chat writes, at most"),
    ):
        parser.add_argument(
            f"--{name}", type=count, default=default, metavar="N", help=f"{what} ({default})"
        )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure")


def run(options: argparse.Namespace) -> int:
    """Measure, and print both ways side by side."""
    if options.voices and not (options.model and options.adapters):
        console().print("--voice needs --model and --adapters", style="red")
        return 2
    with tempfile.TemporaryDirectory(prefix="twofold-") as scratch:
        model, adapters, voices = _subject(options, Path(scratch))
        result = _measure(options, model, adapters, voices)
    _print(result)
    if options.json:
        write_json(options.json, _record(result, options.model))
    return 0


def _subject(options: argparse.Namespace, scratch: Path) -> tuple[str, Path, tuple[str, ...]]:
    if options.model:
        return options.model, options.adapters or scratch, tuple(options.voices)
    from eval.bench.random_llama import LlamaSize, write_random_llama

    parameters = write_random_llama(
        scratch, size=LlamaSize(), voices=RANDOM_VOICES, rank=RANDOM_RANK, seed=SEED
    )
    console().print(f"random weights: {parameters / 1e6:.1f} million parameters")
    return str(scratch / "model"), scratch / "adapters", RANDOM_VOICES


def _measure(
    options: argparse.Namespace, model: str, adapters: Path, voices: tuple[str, ...]
) -> GenerationResult:
    from eval.bench.generation import Chats, measure_generation
    from serving.transformers_generator import TransformersGenerator

    chats = Chats((None, *voices), options.chats, options.prompt_tokens, options.new_tokens)
    generator = TransformersGenerator(
        model, adapters_dir=adapters, batch=options.chats, queue=options.chats
    )
    out = console()
    with closing(generator):
        return measure_generation(
            generator,
            chats,
            rounds=options.rounds,
            done=lambda each: out.print(
                f"{each.apart_tokens_per_s:,.0f} tokens/s one after the other, "
                f"{each.together_tokens_per_s:,.0f} at once: {each.ratio:.2f}"
            ),
        )


def _print(result: GenerationResult) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for head in ("", "tokens/s", "first token p50"):
        table.add_column(head, justify="right" if head else "left")
    table.add_row(
        "one after the other",
        f"{result.median_of(lambda each: each.apart_tokens_per_s):,.0f}",
        f"{result.median_of(lambda each: each.apart_first_ms):,.0f} ms",
    )
    table.add_row(
        "at once",
        f"{result.median_of(lambda each: each.together_tokens_per_s):,.0f}",
        f"{result.median_of(lambda each: each.together_first_ms):,.0f} ms",
    )
    out, chats = console(), result.chats
    ratio = result.median_of(lambda each: each.ratio)
    verdict = "reached" if ratio >= RATIO_BAR else "missed"
    out.print(table, "", sep="\n")
    out.print(
        f"{ratio:.2f} times the tokens a second (bar ≥ {RATIO_BAR:g}: {verdict}); medians of "
        f"{len(result.rounds)} rounds.\n{chats.count} chats in {len(chats.voices)} voices, "
        f"{result.prompt_tokens:.0f} tokens a prompt, at most {chats.new_tokens} written; the same "
        f"text both ways in {min(each.same_texts for each in result.rounds)} of {chats.count}."
    )
    for voice, took in result.adapter_load_ms.items():
        out.print(f"{voice}: loaded in {took:,.0f} ms")


def _record(result: GenerationResult, model: str | None) -> dict[str, Any]:
    return {
        "model": model or "random",
        "ratio": result.median_of(lambda each: each.ratio),
        "rounds_ratio": [each.ratio for each in result.rounds],
        **asdict(result),
    }
