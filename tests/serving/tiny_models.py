"""Tiny random language models with tokenizers and adapters, on disk as trained ones would be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import torch
import transformers

from finetune.adapters import AdapterRegistry
from finetune.base_identity import read_base
from finetune.manifest import AdapterVersion, State

library: Any = transformers  # untyped calls

CHAT_TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
SENTENCES = [
    "You answer questions for a company from its documents and cite every passage you used",
    "A second suitcase costs sixty euros while small bags travel free under the seat in front",
]


def save_tokenizer(folder: Path, *, chat_template: str | None = CHAT_TEMPLATE) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES * 3, trainer)
    fast = library.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    fast.chat_template = chat_template
    fast.save_pretrained(folder)
    return fast


def save_model(folder: Path, tokenizer: Any, *, hidden: int = 32, context: int = 8192) -> Any:
    """Random weights; only tokens that open an English word can be written."""
    torch.manual_seed(20261123)
    model = library.LlamaForCausalLM(
        library.LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=hidden,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=context,
        )
    )
    words = [index for token, index in tokenizer.get_vocab().items() if token[1:].isalpha()]
    spoken = [index for index in words if tokenizer.convert_ids_to_tokens(index)[0] == "Ġ"]
    with torch.no_grad():
        head = torch.zeros_like(model.lm_head.weight)
        head[spoken] = torch.randn(len(spoken), hidden)
        model.lm_head.weight.copy_(head)
    model.save_pretrained(folder)
    return model


def save_adapter(
    folder: Path, model_folder: Path, *, size: float, rank: int = 4, alpha: int = 8
) -> None:
    """A LoRA adapter whose B matrices hold noise of the size; 0 leaves the base as it is."""
    base = library.LlamaForCausalLM.from_pretrained(model_folder)
    modules = ["q_proj", "v_proj", "down_proj"]
    config = peft.LoraConfig(
        r=rank, lora_alpha=alpha, target_modules=modules, task_type="CAUSAL_LM"
    )
    adapted = peft.get_peft_model(base, config)
    torch.manual_seed(7)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn_like(weight) * size)
    adapted.save_pretrained(str(folder))


def save_prompt_tuning(folder: Path, model_folder: Path) -> None:
    """Three virtual tokens of noise."""
    base = library.LlamaForCausalLM.from_pretrained(model_folder)
    torch.manual_seed(9)
    config = peft.PromptTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM")
    peft.get_peft_model(base, config).save_pretrained(str(folder))


def register(
    root: Path, model_folder: Path, name: str, *, size: float, rank: int = 4, alpha: int = 8
) -> AdapterVersion:
    """A version more of the name, and live."""
    save_adapter(root / "made" / name, model_folder, size=size, rank=rank, alpha=alpha)
    return go_live(root, model_folder, name)


def go_live(root: Path, model_folder: Path, name: str) -> AdapterVersion:
    """Import what lies in made/NAME."""
    registry = AdapterRegistry(root / "adapters")
    added = registry.import_directory(
        root / "made" / name, name=name, base=read_base(str(model_folder)), licence="none"
    )
    return registry.set_state(name, added.version, State.LIVE)
