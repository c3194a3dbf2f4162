"""What a model has forgotten: its loss on general text, before a training and after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.errors import EvaluationError

MAX_TOKENS = 256  # of each text that are read


def read_texts(path: Path, *, limit: int) -> list[str]:
    """The paragraphs of a text or Markdown file, or of all such files below a folder.

    Raises:
        EvaluationError: there is no text.
    """
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    try:
        texts = [
            paragraph.strip()
            for file in files
            if file.suffix in {".md", ".txt"}
            for paragraph in file.read_text(encoding="utf-8").split("\n\n")
            if len(paragraph.split()) >= 8
        ]
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"cannot read general text from {path}: {error}") from error
    if not texts:
        raise EvaluationError(f"{path} holds no paragraph of 8 words in a .md or .txt file")
    step = max(1, len(texts) // limit)
    return texts[::step][:limit]


def losses(model: Any, tokenizer: Any, texts: Sequence[str]) -> NDArray[np.float64]:
    """(texts, 2): the sum of -ln p over a text's tokens but the first, and their number."""
    import torch

    was_training = model.training
    model.eval()
    found = np.zeros((len(texts), 2))
    for row, text in enumerate(texts):
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
        ids = ids[:, :MAX_TOKENS].to(model.device)  # (1, tokens)
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, -ids.shape[1] :]  # (tokens, vocabulary)
        chosen = torch.log_softmax(logits[:-1].float(), -1).gather(1, ids[0, 1:, None])
        found[row] = -float(chosen.sum()), ids.shape[1] - 1
    model.train(was_training)
    return found


def mean_loss(found: NDArray[np.float64]) -> float:
    """Per token.

    >>> mean_loss(np.array([[3.0, 2], [5.0, 2]]))
    2.0
    """
    return float(found[:, 0].sum() / found[:, 1].sum())
