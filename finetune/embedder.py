"""Train the starter embedder: all-MiniLM-L6-v2 plus a LoRA adapter that knows customers' words.

    python -m finetune.embedder --data DIR --out runs/embedder-1
    python -m finetune.embedder --data DIR --out runs/embedder-2 --start runs/embedder-1/adapter

`DIR` holds the retrieval sets that may train shipped weights (BEIR layout, see
`retrieval_data.SETS`). With them go the passages in `starter/retrieval/passages.jsonl`: help
centres of made-up organisations, ten neighbouring passages each, so that the other nine are hard
negatives for a question about one. The loss is InfoNCE over the batch in both directions (van den
Oord et al. 2018). The second run adds, for each passage, the questions that it nearly answers:
they must stay further away than the one it does answer.
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.bi_encoder import Lora, embed, load
from finetune.encoder_loop import Objective, Schedule, run, save_adapter
from finetune.retrieval_data import Pair, batches

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that decides the weights."""

    steps: int = 160
    learning_rate: float = 4e-4
    organisations_per_batch: int = 4
    other_pairs_per_batch: int = 16
    refusals: bool = False
    lora: Lora = field(default_factory=Lora)
    temperature: float = 0.05
    max_tokens: int = 128
    seed: int = 20261123


SECOND_RUN = Configuration(steps=60, learning_rate=2e-4, refusals=True, seed=20261124)


def main() -> None:
    """Train, or go on where the last run stopped, and save the adapter."""
    parser = argparse.ArgumentParser(prog="python -m finetune.embedder", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--start", type=Path, metavar="DIR", help="adapter of the first run")
    parser.add_argument("--resume", action="store_true", help="from the last checkpoint in --out")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    configuration = SECOND_RUN if options.start else Configuration()
    train(configuration, options.data, options.out, start=options.start, resume=options.resume)


def train(
    configuration: Configuration,
    data: Path,
    out: Path,
    *,
    start: Path | None = None,
    resume: bool = False,
) -> None:
    """Write `out/adapter` (PEFT, safetensors) and `out/configuration.json`."""
    import torch

    torch.manual_seed(configuration.seed)
    out.mkdir(parents=True, exist_ok=True)
    (out / "configuration.json").write_text(json.dumps(asdict(configuration), indent=2) + "\n")
    model, tokenizer = load(start or configuration.lora)
    run(
        model,
        Objective(lambda batch: _loss(model, tokenizer, batch, configuration)),
        batches(
            data,
            organisations=configuration.organisations_per_batch,
            others=configuration.other_pairs_per_batch,
            refusals=configuration.refusals,
            seed=configuration.seed,
        ),
        Schedule(configuration.steps, configuration.learning_rate),
        out,
        resume=resume,
    )
    save_adapter(model, out / "adapter")


def _loss(
    model: Any, tokenizer: Any, batch: list[Pair], configuration: Configuration
) -> torch.Tensor:
    """Each question nearest to its own passage; each passage to its question, not a near miss."""
    import torch

    unanswered = [question for pair in batch for question in pair.unanswered]
    questions = [pair.question for pair in batch]
    max_tokens = configuration.max_tokens
    asked = embed(model, tokenizer, questions + unanswered, max_tokens=max_tokens)
    passages = embed(model, tokenizer, [pair.passage for pair in batch], max_tokens=max_tokens)
    scores = passages @ asked.T / configuration.temperature  # (batch, batch + unanswered)
    own = torch.arange(len(batch))
    cross_entropy = torch.nn.functional.cross_entropy
    to_passage = cross_entropy(scores[:, : len(batch)].T, own)
    loss: torch.Tensor = (to_passage + cross_entropy(scores, own)) / 2
    return loss


if __name__ == "__main__":
    main()
