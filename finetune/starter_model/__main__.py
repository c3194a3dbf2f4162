"""Train the starter language model, or go on with a run that was stopped.

    python -m finetune.starter_model --data DIR --out runs/language-model

`DIR` holds `retrieval/`, `instruction/` and `docs/` (see `published.py`). The run trains a
tokenizer, then the weights, and writes `OUT/model`, which `AutoModelForCausalLM` loads, and what it
can do on conversations that it never saw, `OUT/evaluation.json`. `--size small` is for a machine
without a GPU; `--steps` decides how long. Stopped at any moment, the same command goes on from the
last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
from pathlib import Path
from typing import Any

from finetune.starter_model import grounded, model, published, tokenizer
from finetune.starter_model.batches import Sources
from finetune.starter_model.evaluation import measure
from finetune.starter_model.training import Plan, train

MEASURED = 100  # conversations of each kind, by default
TOKENIZER_DIALOGUES = 6000
TOKENIZER_CHARACTERS = 2000  # of each page

logger = logging.getLogger(__name__)


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(prog="python -m finetune.starter_model", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--size", choices=sorted(model.SIZES), default="full")
    parser.add_argument("--steps", type=int, default=Plan().steps, metavar="N")
    parser.add_argument("--tokens", type=int, default=Plan().tokens, metavar="N", help="in a step")
    parser.add_argument("--threads", type=int, metavar="N", help="of torch, on a busy machine")
    parser.add_argument(
        "--bfloat16", action="store_true", help="products in 16 bit, for processors that have them"
    )
    parser.add_argument(
        "--measured", type=int, default=MEASURED, metavar="N", help="conversations of each kind"
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    plan = Plan(steps=options.steps, tokens=options.tokens, bfloat16=options.bfloat16)
    options.out.mkdir(parents=True, exist_ok=True)
    sources = Sources(
        published.quoted(options.data),
        published.free_texts(options.data),
        published.plain_texts(options.data),
    )
    size = model.SIZES[options.size]
    words = _tokenizer(options.out / "tokenizer", sources, size, plan.seed)
    weights = model.build(size, words, seed=plan.seed)
    train(weights, words, sources, plan, options.out)
    held_out = published.quoted(options.data, held_out=True)
    scores = measure(weights, words, held_out, n=options.measured, seed=plan.seed)
    (options.out / "evaluation.json").write_text(json.dumps(scores, indent=2) + "\n")
    logger.info("%s", json.dumps(scores, indent=2))
    save(weights, words, options.out / "model")


def save(weights: Any, words: Any, folder: Path) -> None:
    """In bfloat16, as safetensors, with the tokenizer."""
    import torch

    weights.to(torch.bfloat16).save_pretrained(folder)
    words.save_pretrained(folder)


def _tokenizer(folder: Path, sources: Sources, size: model.Size, seed: int) -> Any:
    from transformers import AutoTokenizer

    if (folder / "tokenizer.json").is_file():
        return AutoTokenizer.from_pretrained(folder)
    rng = random.Random(seed)
    dialogues = [grounded.example(rng, long=True) for _ in range(TOKENIZER_DIALOGUES)]
    dialogues += [
        published.grounded(sources.quoted, rng, long=True) for _ in range(TOKENIZER_DIALOGUES)
    ]
    texts = [m.content for each in [*dialogues, *sources.free] for m in each.messages]
    texts += [text[:TOKENIZER_CHARACTERS] for text in sources.texts]
    words = tokenizer.train(texts, vocabulary=size.vocabulary, context=model.CONTEXT)
    words.save_pretrained(folder)
    return words


if __name__ == "__main__":
    main()
