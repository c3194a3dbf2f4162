"""What QLoRA takes on a GPU: memory, speed, and the longest text, beside what is predicted.

    python -m eval.qlora_gpu --shape Llama-3.1-8B --out runs/qlora_gpu

Needs no network: weights and tokens are random, in the shape asked for. The allocator is capped, so
that a larger card stands for a smaller one. Each part runs in a process of its own and writes
PART.json; a second run goes on with the parts that are missing.

`ours` trains as a training configuration says by default. `plain` is TRL's `SFTTrainer` with PEFT
and the defaults that TRL's own command line has for 4 bit: NF4 without double quantisation, a
32-bit stream, LoRA on queries and values, AdamW in 32 bit. `plain-bf16` is the same loaded in
bfloat16. `longest` bisects for the longest sequence that `ours` trains, one at a time.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from eval.longest import longest_that
from eval.qlora_trial import Measured, Trial, fits, measure
from finetune.memory_plan import GIB, Load, plan_memory
from finetune.model_shapes import Shape, find_shape
from finetune.plan_choice import longest_tokens
from finetune.time_plan import Gpu, Work, known_gpus, plan_time
from serving.cli.options import write_json

PARTS = ("ours", "plain", "plain-bf16", "longest")
TINY = Shape(
    name="tiny",
    hidden=64,
    layers=2,
    heads=4,
    kv_heads=2,
    head_dim=16,
    intermediate=128,
    vocabulary=256,
    context=512,
    tied=False,
)

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one part here, or all that are missing, each in its own process."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    options.out.mkdir(parents=True, exist_ok=True)
    if options.part:
        write_json(options.out / f"{options.part}.json", _run_part(options))
        return 0
    given = list(sys.argv[1:] if arguments is None else arguments)
    failed = 0
    for part in PARTS:
        if (options.out / f"{part}.json").is_file():
            logger.info("%s: measured already", part)
            continue
        command = [sys.executable, "-m", "eval.qlora_gpu", *given, "--part", part]
        failed |= subprocess.run(command, check=False).returncode
    return 1 if failed else 0


def find_gpu_of(device_name: str) -> Gpu | None:
    """The row of the GPU table whose chip a driver's device name holds: `NVIDIA H100 80GB HBM3`."""
    words = set(device_name.replace("-", " ").split())
    for gpu in known_gpus().values():
        chip = next(word for word in gpu.name.split() if any(map(str.isdigit, word)))
        if chip in words:
            return gpu
    return None


def _run_part(options: argparse.Namespace) -> dict[str, object]:
    import torch

    shape = TINY if options.shape == "tiny" else find_shape(options.shape)
    load = Load(options.batch, min(options.tokens, shape.context), 1)
    scratch = options.out / "scratch"
    trial = Trial(
        options.part, shape, load, options.steps, options.device, options.vram_gib, scratch
    )
    device_name = "CPU"
    if trial.on_gpu:
        properties = torch.cuda.get_device_properties(0)
        device_name = properties.name
        share = min(1.0, options.vram_gib * GIB / properties.total_memory)
        torch.cuda.set_per_process_memory_fraction(share)
    record = {
        "part": options.part,
        "shape": asdict(shape),
        "device": device_name,
        "cap_gib": options.vram_gib if trial.on_gpu else None,
        "recipe": asdict(trial.recipe),
        "versions": _versions(),
    }
    if options.part == "longest":
        return record | _longest(trial, options.out / "longest.tried.json")
    return record | _figures(trial, measure(trial), find_gpu_of(device_name))


def _figures(trial: Trial, measured: Measured, gpu: Gpu | None) -> dict[str, object]:
    """What was measured beside what is predicted for it."""
    load = trial.load
    rates = sorted(load.tokens / seconds for seconds in measured.step_s)
    plan = plan_memory(trial.shape, trial.recipe, load)
    work = Work(examples=load.batch * trial.steps, mean_tokens=load.max_tokens, epochs=1)
    speed = plan_time(trial.shape, trial.recipe, load, work, gpu) if gpu else None
    return {
        "batch": load.batch,
        "tokens": load.max_tokens,
        "steps": len(rates),
        "loss": measured.loss,
        "tokens_per_s": {"median": statistics.median(rates), "min": rates[0], "max": rates[-1]},
        "peak_allocated_gib": measured.allocated_gib,
        "peak_reserved_gib": measured.reserved_gib,
        "predicted": plan.record() | {"time": speed.record() if speed else None},
    }


def _longest(trial: Trial, record: Path) -> dict[str, object]:
    """Every try is kept in `record`, so that a run that was stopped goes on after it."""
    known: dict[str, bool] = {}
    if record.is_file():
        known = json.loads(record.read_text(encoding="utf-8"))
    predicted = longest_tokens(trial.shape, trial.vram_gib, trial.recipe)

    def trains(tokens: int) -> bool:
        key = str(tokens)
        if key not in known:
            known[key] = fits(replace(trial, load=Load(1, tokens, 1), steps=2))
            logger.info("%d tokens: %s", tokens, "trains" if known[key] else "out of memory")
            write_json(record, known)
        return known[key]

    found = longest_that(trains, predicted=predicted, context=trial.shape.context)
    return {
        "longest_tokens": found,
        "tried": known,
        "predicted": {"longest_tokens": predicted},
    }


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {
        name: version(name) for name in ("torch", "transformers", "trl", "peft", "bitsandbytes")
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m eval.qlora_gpu")
    parser.add_argument("--shape", default="Llama-3.1-8B", help="a known model, or tiny")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--part", choices=PARTS, help="only this one, in this process")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--vram-gib", type=float, default=24.0, help="the allocator's cap")
    parser.add_argument("--device", default="cuda", help="cuda or cpu")
    return parser


if __name__ == "__main__":
    sys.exit(main())
