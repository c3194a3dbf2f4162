"""The model that training starts from: its tokenizer, its weights, and what of it is trained."""

from __future__ import annotations

import os
import warnings
from typing import Any

from finetune.configuration import Method, Targets, TrainingConfiguration
from finetune.errors import TrainingError

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]


def on_gpu() -> bool:
    """Whether there is a CUDA device."""
    import torch

    return torch.cuda.is_available()


def sharded() -> bool:
    """Whether `accelerate launch` spreads the weights over GPUs (FSDP)."""
    return os.environ.get("ACCELERATE_USE_FSDP") == "true"


def load_tokenizer(configuration: TrainingConfiguration) -> Any:
    """Raises TrainingError: there is no such model here."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(
            configuration.base_model, revision=configuration.base_revision
        )
    except (OSError, ValueError) as error:
        raise _missing(configuration, error) from error


def load_base(configuration: TrainingConfiguration) -> Any:
    """The base's weights: 4 bit for QLoRA; else 16 bit on a GPU, 32 on a CPU.

    Nothing is cast up afterwards, as `prepare_model_for_kbit_training` would do with every weight
    that is not in 4 bit: norms in 16 bit train as well, and an 8B model's embeddings in 32 bit
    would take 2.4 GiB more.

    Raises:
        TrainingError: there is no such model here, or it cannot be loaded as asked.
    """
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    dtype = torch.bfloat16 if on_gpu() else torch.float32
    quantization = None
    if configuration.method is Method.QLORA:
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=configuration.double_quantization,
            bnb_4bit_compute_dtype=dtype,
            # What shards weights over GPUs moves them as one dtype.
            bnb_4bit_quant_storage=dtype if sharded() else torch.uint8,
        )
    try:
        model = AutoModelForCausalLM.from_pretrained(
            configuration.base_model,
            revision=configuration.base_revision,
            dtype=dtype,
            quantization_config=quantization,
            device_map=None if sharded() else {"": _device()},
        )
    except (OSError, ValueError) as error:
        raise _missing(configuration, error) from error
    if quantization:
        _keep_gradients(model)
    return model


def trained_part(configuration: TrainingConfiguration, model: Any) -> Any:
    """The base with what is trained on it; everything else is frozen."""
    import torch
    from peft import LoraConfig, PromptTuningConfig, TaskType, get_peft_model

    peft: Any
    torch.manual_seed(configuration.seed)  # the adapter's first weights are drawn here
    match configuration.method:
        case Method.FULL:
            return model
        case Method.PROMPT_TUNING:
            peft = PromptTuningConfig(
                task_type=TaskType.CAUSAL_LM, num_virtual_tokens=configuration.virtual_tokens
            )
        case _:
            attention = configuration.targets is Targets.ATTENTION
            peft = LoraConfig(
                task_type=TaskType.CAUSAL_LM,
                r=configuration.rank,
                lora_alpha=configuration.alpha,
                lora_dropout=configuration.dropout,
                target_modules=ATTENTION if attention else "all-linear",
            )
    try:
        with warnings.catch_warnings():  # about names that PEFT uses and transformers renames
            warnings.simplefilter("ignore", FutureWarning)
            return get_peft_model(model, peft)
    except ValueError as error:
        raise TrainingError(
            f"{configuration.base_model!r} has no layers {', '.join(ATTENTION)}: {error}; "
            'set targets = "all-linear"'
        ) from error


def in_32_bit(model: Any) -> None:
    """The trained weights in 32 bit, to be called before the optimiser is made.

    TRL leaves a 4-bit model's adapter in bfloat16, whose 8 bits of precision lose a step that is
    smaller than 1/256 of a weight. They are few, and products are computed in 16 bit anyway.
    Sharded weights stay as they are: what is moved as one must have one dtype.
    """
    if sharded():
        return
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()


def count_parameters(model: Any) -> tuple[int, int]:
    """(trained, all); a weight in 4 bit counts as one, not as half a byte."""
    if hasattr(model, "get_nb_trainable_parameters"):
        trained, total = model.get_nb_trainable_parameters()
        return int(trained), int(total)
    total = sum(weight.numel() for weight in model.parameters())
    return total, total


def _keep_gradients(model: Any) -> None:
    """Keeps bitsandbytes from rearranging weights in 4 bit when they are first evaluated.

    On CPUs with AVX512-BF16, version 0.50 does so for a faster product that has no gradient, and
    never goes back: after one evaluation, nothing behind a layer would be trained through it.
    """
    from bitsandbytes.nn.modules import Linear4bit

    for layer in model.modules():
        if isinstance(layer, Linear4bit):
            layer.support_avx512bf16_for_cpu = False


def _device() -> Any:
    # `accelerate launch` starts a process for each GPU.
    return int(os.environ.get("LOCAL_RANK", "0")) if on_gpu() else "cpu"


def _missing(configuration: TrainingConfiguration, error: Exception) -> TrainingError:
    revision = f" at {configuration.base_revision!r}" if configuration.base_revision else ""
    return TrainingError(
        f"cannot load base_model {configuration.base_model!r}{revision}: "
        f"{str(error).strip().splitlines()[0]} Give a folder that holds the model, or a hub name "
        "where a network is available"
    )
