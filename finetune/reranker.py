"""Train the starter cross-encoder: all-MiniLM-L6-v2 plus a LoRA adapter that reads both texts.

    python -m finetune.hard_negatives --data DIR --out runs/groups.jsonl
    python -m finetune.reranker --groups runs/groups.jsonl --out runs/first
    python -m finetune.reranker --groups runs/groups.jsonl --out runs/second \\
        --start runs/first/adapter

The first run starts from the embedder's adapter, which knows customers' words already; the second
goes on with more of the published questions, whose passages are harder to order. The score is
meant to order passages and to tell when there is no answer, so the loss is cross-entropy within
each answered question's group, plus binary cross-entropy of every pair. No dropout: few pairs are
seen more than a few times, and on a CPU drawing the masks takes as long as the products.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from finetune.cross_encoder import load
from finetune.encoder_loop import Objective, Schedule, run, save_adapter
from finetune.reranker_pairs import SECOND_RUN, Configuration, steps
from finetune.reranker_validation import calibrated, validate
from finetune.retrieval_data import HELD_OUT, HELD_OUT_SUFFIX, Group, read_groups
from retrieval.onnx_reranker import CALIBRATION_FILE
from starter.bundle import EMBEDDER_ADAPTER


def main() -> None:
    """Train, or go on where the last run stopped, and save the adapter."""
    parser = argparse.ArgumentParser(prog="python -m finetune.reranker", description=__doc__)
    parser.add_argument("--groups", type=Path, required=True, metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--start",
        type=Path,
        metavar="ADAPTER",
        help="a cross-encoder's adapter that a second run goes on from",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="instead of the run's own number")
    parser.add_argument("--resume", action="store_true", help="from the last checkpoint in --out")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    configuration = SECOND_RUN if options.start else Configuration()
    if options.steps is not None:
        configuration = replace(configuration, steps=options.steps)
    train(
        configuration,
        read_groups(options.groups),
        options.out,
        start=options.start or EMBEDDER_ADAPTER,
        resume=options.resume,
    )


def train(
    configuration: Configuration,
    groups: Sequence[Group],
    out: Path,
    *,
    start: Path = EMBEDDER_ADAPTER,
    resume: bool = False,
) -> None:
    """Write `out/adapter` (PEFT, safetensors) and `out/configuration.json`.

    `start` is an adapter of the same rank: the embedder's, or a cross-encoder's.
    """
    import torch

    torch.manual_seed(configuration.seed)
    out.mkdir(parents=True, exist_ok=True)
    (out / "configuration.json").write_text(json.dumps(asdict(configuration), indent=2) + "\n")
    encoder = load(configuration, start)
    held_out = [group for group in groups if group.source.endswith(HELD_OUT_SUFFIX)]
    run(
        encoder.model,
        Objective(
            loss_of=encoder.loss,
            validate=lambda: validate(encoder, held_out, seed=configuration.seed),
        ),
        steps(configuration, groups),
        Schedule(configuration.steps, configuration.learning_rate),
        out,
        resume=resume,
    )
    adapter = out / "adapter"
    save_adapter(encoder.model, adapter)
    encoder.model.float()
    asked = [group for group in held_out if group.source == HELD_OUT]
    calibration = calibrated(encoder, asked)
    (adapter / CALIBRATION_FILE).write_text(json.dumps(calibration, indent=2) + "\n")


if __name__ == "__main__":
    main()
