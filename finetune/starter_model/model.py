"""The model's shape: a plain Llama, so that nobody needs code of ours to load it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from finetune.starter_model.circuits import write_circuits

CONTEXT = 1024
ROPE_THETA = 500_000.0  # most dimensions turn little within the context, so content can be compared


@dataclass(frozen=True, slots=True)
class Size:
    """Numbers that decide how many weights there are; heads have 64 dimensions."""

    vocabulary: int
    hidden: int
    layers: int
    feed_forward: int


SIZES = {
    "full": Size(vocabulary=8192, hidden=384, layers=8, feed_forward=1024),  # 17 M weights
    "small": Size(vocabulary=6144, hidden=256, layers=6, feed_forward=704),  # 6.4 M
    "tiny": Size(vocabulary=1024, hidden=256, layers=4, feed_forward=128),  # for tests
}


def build(size: Size, tokenizer: Any, *, seed: int) -> Any:
    """A `LlamaForCausalLM` with fresh weights, tied embeddings, and heads that can quote."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    configuration = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden,
        intermediate_size=size.feed_forward,
        num_hidden_layers=size.layers,
        num_attention_heads=size.hidden // 64,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.02,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
    )
    model = LlamaForCausalLM(configuration)
    write_circuits(model, tokenizer, seed=seed)
    return model
