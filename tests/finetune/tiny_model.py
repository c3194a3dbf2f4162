"""A causal model so small that a test trains it: byte-level words, two layers, a chat template."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ["<|end|>", "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>"]


def save_tiny_model(folder: Path, *, hidden: int = 64, seed: int = 1) -> Path:
    """Llama's architecture with random weights, and its tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: place for place, token in enumerate([*SPECIAL, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|end|>",
        pad_token="<|pad|>",
        additional_special_tokens=SPECIAL[2:],
    )
    fast.chat_template = CHAT_TEMPLATE
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
            eos_token_id=0,
            pad_token_id=1,
            bos_token_id=None,
            tie_word_embeddings=True,
        )
    )
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def write_examples(path: Path, count: int = 120, *, answer: str = "Aye aye.") -> Path:
    """Questions that differ, and one short answer to all: what little weights can learn."""
    rows = [
        {"input": f"Question {number} about flight {number * 7 % 100}?", "output": answer}
        for number in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def load_base(folder: Path, **options: Any) -> Any:
    """The model as transformers loads it."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, **options)


def answers(model: Any, folder: Path, question: str, *, tokens: int = 12) -> str:
    """Greedy, in the chat template."""
    from transformers import AutoTokenizer

    from finetune.callbacks import generate
    from finetune.encoding import prompt_ids
    from finetune.examples import Message, Role

    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt: Sequence[int] = prompt_ids([Message(Role.USER, question)], tokenizer)
    return generate(model, tokenizer, prompt, tokens)
