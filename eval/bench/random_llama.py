"""A small Llama with random weights and LoRA adapters, on disk as a trained one would be.

Speed does not depend on what the weights say, so the concurrency of generation can be measured on
a machine that holds no language model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.adapters import AdapterRegistry
from finetune.base_identity import read_base
from finetune.manifest import State
from starter import bundle

CHAT_TEMPLATE = (
    "{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)
ADAPTER_SCALE = 0.02  # of the B matrices, which are zero before training


@dataclass(frozen=True, slots=True)
class LlamaSize:
    """About 8 million parameters as it stands."""

    hidden: int = 256
    layers: int = 8
    heads: int = 8
    kv_heads: int = 4
    intermediate: int = 688
    vocabulary: int = 8192
    context: int = 4096


def write_random_llama(
    folder: Path, *, size: LlamaSize, voices: tuple[str, ...], rank: int, seed: int
) -> int:
    """FOLDER/model, and FOLDER/adapters with a live version of each voice; its parameters."""
    import torch
    import transformers

    library: Any = transformers  # untyped calls
    tokenizer = _tokenizer(size.vocabulary)
    tokenizer.save_pretrained(folder / "model")
    torch.manual_seed(seed)
    config = library.LlamaConfig(
        hidden_size=size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.kv_heads,
        intermediate_size=size.intermediate,
        vocab_size=len(tokenizer),
        max_position_embeddings=size.context,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = library.LlamaForCausalLM(config)
    model.save_pretrained(folder / "model")
    parameters = sum(weight.numel() for weight in model.parameters())
    for voice in voices:
        _register(folder, voice, rank)
    return int(parameters)


def _tokenizer(vocabulary: int) -> Any:
    """Byte-level BPE, trained on the bundled documents."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    library: Any = transformers
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    files = [str(path) for path in sorted(bundle.DOCUMENTS.rglob("*.md"))]
    tokenizer.train(files, trainer)
    fast = library.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def _register(folder: Path, voice: str, rank: int) -> None:
    import peft
    import torch
    import transformers

    library: Any = transformers
    base = library.LlamaForCausalLM.from_pretrained(folder / "model")
    adapted = peft.get_peft_model(
        base,
        peft.LoraConfig(
            r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
    )
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=ADAPTER_SCALE)
    adapted.save_pretrained(str(folder / "made" / voice))
    registry = AdapterRegistry(folder / "adapters")
    added = registry.import_directory(
        folder / "made" / voice,
        name=voice,
        base=read_base(str(folder / "model")),
        licence="random weights",
    )
    registry.set_state(voice, added.version, State.LIVE)
