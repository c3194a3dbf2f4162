"""What tells one base model from another: hashes of what an adapter depends on."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from finetune.errors import AdapterError
from finetune.manifest import Base
from finetune.safetensors_header import read_header

SAMPLED_BYTES = 256  # of each tensor, for the fingerprint of a base
ARCHITECTURE = (
    "model_type",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "rms_norm_eps",
    "tie_word_embeddings",
)
PROBES = (
    "Two tickets, please: 2 x €19.50 = €39!",
    "  Straße, naïve, 東京, Ελλάδα 🙂\n\n\tdef f(x):\n        return x",
    "DON'T shout; e-mail a.b@example.com",
)


def read_base(model: str, *, revision: str | None = None) -> Base:
    """What tells a base from others: a folder, or a hub name; its weights are not loaded.

    Raises:
        AdapterError: there is no such model, or no tokenizer with it.
    """
    try:
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
        from transformers.utils.hub import cached_file

        config: Any = AutoConfig.from_pretrained(model, revision=revision)
        tokenizer = AutoTokenizer.from_pretrained(model, revision=revision)
        folder = Path(str(cached_file(model, "config.json", revision=revision))).parent
        with torch.device("meta"):  # the shapes of the parameters, without their values
            causal: Any = AutoModelForCausalLM
            skeleton = causal.from_config(config)
    except Exception as error:  # hub, tokenizers and torch raise what they like
        raise AdapterError(
            f"cannot read the base model {model!r}: {first_line(error)} Give a folder that holds "
            "it, or a hub name where a network is available"
        ) from error
    return Base(
        name=model,
        revision=folder.name if re.fullmatch("[0-9a-f]{40}", folder.name) else None,
        config_sha256=config_sha256(config),
        weights_sha256=weights_sha256(folder),
        tokenizer_sha256=tokenizer_sha256(tokenizer),
        chat_template_sha256=chat_template_sha256(tokenizer),
        shapes={name: tuple(value.shape) for name, value in skeleton.state_dict().items()},
        quantized=bool(getattr(config, "quantization_config", None)),
    )


def config_sha256(config: Any) -> str:
    """Of what shapes a language model's layers, so that other releases' defaults change nothing."""
    text_config = config.get_text_config()
    return _json_sha256({name: getattr(text_config, name, None) for name in ARCHITECTURE})


def weights_sha256(folder: Path) -> str | None:
    """A fingerprint: each tensor's name, type, shape and first 256 bytes; None without weights.

    It tells a fine-tuned model from its base, costs milliseconds for 8 billion parameters, and is
    the same however the files are sharded.
    """
    index = folder / "model.safetensors.index.json"
    names = ["model.safetensors"]
    if index.is_file() and not (folder / names[0]).is_file():
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    if not all((folder / name).is_file() for name in names):
        return None
    tensors = [tensor for name in names for tensor in read_header(folder / name)]
    digest = hashlib.sha256()
    for tensor in sorted(tensors, key=lambda tensor: tensor.name):
        digest.update(json.dumps([tensor.name, tensor.dtype, tensor.shape]).encode())
        with tensor.path.open("rb") as file:
            file.seek(tensor.start)
            digest.update(file.read(SAMPLED_BYTES))
    return digest.hexdigest()


def tokenizer_sha256(tokenizer: Any) -> str:
    """Of the vocabulary, the first and last token, and what the tokenizer makes of fixed texts.

    Not of its files, which each release writes a little differently; nor of the padding token,
    which training often adds.
    """
    probes = [tokenizer(text, truncation=False, padding=False)["input_ids"] for text in PROBES]
    ends = [tokenizer.bos_token_id, tokenizer.eos_token_id]
    return _json_sha256([sorted(tokenizer.get_vocab().items()), ends, probes])


def chat_template_sha256(tokenizer: Any) -> str | None:
    """Of the template as Jinja reads it: line ends and one last newline make no difference."""
    template = tokenizer.chat_template
    if not template:
        return None
    text = template if isinstance(template, str) else json.dumps(template, sort_keys=True)
    read = text.replace("\r\n", "\n").removesuffix("\n")
    return hashlib.sha256(read.encode()).hexdigest()


def first_line(error: Exception) -> str:
    """What went wrong, without the pages that a hub client adds."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".,;: ") + "."


def _json_sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
