"""A causal model of a given shape with random weights: as fast and as large as the trained one.

Speed and memory do not depend on what the weights say, so a machine without a network can measure
them. Weights are drawn and quantised one layer at a time: the 16-bit model is never held whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eval.errors import EvaluationError
from finetune.model_shapes import Shape

SCALE = 0.02  # of the weights: the usual initial value, so activations stay in range
PAD_ID, END_ID = 0, 1


@dataclass(frozen=True, slots=True)
class Build:
    """Where and in which widths; `dtype` names that of unquantised weights and of the compute."""

    device: str = "cuda"
    dtype: str = "bfloat16"
    double_quantization: bool = True
    seed: int = 20261126


def random_model(shape: Shape, build: Build) -> Any:
    """The linear layers in NF4, everything else in `dtype`; marked as transformers marks it.

    Raises:
        EvaluationError: the shape has biases, which the models made here do not.
    """
    if shape.biased:
        raise EvaluationError(
            f"{shape.name} has biases in {', '.join(shape.biased)}; only shapes without any can be "
            "made here: choose a Llama, Mistral or Qwen3"
        )
    import torch
    import transformers

    library: Any = transformers  # untyped calls
    torch.manual_seed(build.seed)
    config = _config(shape)
    dtype = getattr(torch, build.dtype)
    with torch.device("meta"):
        model = library.AutoModelForCausalLM.from_config(config, dtype=dtype)
    for name, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            parent = model.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], _quantised(module, dtype, build))
    _fill(model, build.device)
    model.tie_weights()
    # The rotary frequencies are computed, not stored: made again where they are needed.
    model.model.rotary_emb = type(model.model.rotary_emb)(config=config).to(build.device)
    model.requires_grad_(requires_grad=False)
    model.is_loaded_in_4bit = True
    model.config.use_cache = False
    return model


def placeholder_tokenizer() -> Any:
    """What a trainer asks for; the rows hold random ids already."""
    import transformers
    from tokenizers import Tokenizer, models

    library: Any = transformers
    words = models.WordLevel({"<pad>": PAD_ID, "</s>": END_ID}, unk_token="</s>")
    return library.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(words), pad_token="<pad>", eos_token="</s>"
    )


def random_rows(shape: Shape, *, rows: int, tokens: int, seed: int) -> Any:
    """A `datasets.Dataset` of ids, `tokens` in each row, every one of them a label."""
    import torch
    from datasets import Dataset

    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(END_ID + 1, shape.vocabulary, (rows, tokens), generator=generator)
    return Dataset.from_list([{"input_ids": row, "labels": row} for row in ids.tolist()])


def _config(shape: Shape) -> Any:
    from transformers import LlamaConfig, Qwen3Config

    family = Qwen3Config if shape.qk_norm else LlamaConfig
    return family(
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        intermediate_size=shape.intermediate,
        vocab_size=shape.vocabulary,
        max_position_embeddings=shape.context,
        tie_word_embeddings=shape.tied,
        pad_token_id=PAD_ID,
        bos_token_id=None,
        eos_token_id=END_ID,
    )


def _quantised(linear: Any, dtype: Any, build: Build) -> Any:
    """(out, in) random weights in NF4, in place of a layer without any."""
    import torch
    from bitsandbytes.nn import modules

    library: Any = modules  # untyped calls
    layer = library.Linear4bit(
        linear.in_features,
        linear.out_features,
        bias=False,
        compute_dtype=dtype,
        compress_statistics=build.double_quantization,
        quant_type="nf4",
        device="meta",
    )
    shape = (linear.out_features, linear.in_features)
    layer.weight = library.Params4bit(
        torch.randn(shape, dtype=dtype, device=build.device) * SCALE,
        requires_grad=False,
        compress_statistics=build.double_quantization,
        quant_type="nf4",
        module=layer,
    ).to(build.device)
    return layer


def _fill(model: Any, device: str) -> None:
    """Weights that are still on the meta device: norms are ones, embeddings random."""
    import torch

    for module in model.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            if weight.is_meta:
                made = torch.ones(weight.shape, dtype=weight.dtype, device=device)
                if weight.dim() > 1:
                    made.normal_(std=SCALE)
                setattr(module, name, torch.nn.Parameter(made, requires_grad=False))
