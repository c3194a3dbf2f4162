"""How long a training run takes on a GPU: its products, and the bytes that other kernels move.

time = FLOPs / (peak FLOP/s * efficiency) + bytes / (bandwidth * efficiency). Counting bytes
matters: in eager PyTorch norms, rotary embeddings, dropout and LoRA's sums move memory while the
tensor cores wait. Both efficiencies are assumptions, the same for every GPU. On Llama-3.1-8B with
2 x 2,048 tokens and an RTX 4090 they give 1,943 tokens/s; torchtune publishes 2,413 for that
card, with its own kernels. Nothing here is fitted to a measurement of this project.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from finetune.configuration import Method
from finetune.errors import ConfigurationError
from finetune.memory_plan import Load, Recipe, trained_parameters
from finetune.model_shapes import Shape

TABLE = Path(__file__).with_name("gpus.toml")
DEFAULT_GPU = "RTX 4090"

MATMUL_EFFICIENCY = 0.75  # assumed: share of the peak that large bf16 products reach
BANDWIDTH_EFFICIENCY = 0.8  # assumed: share of the bandwidth that streaming kernels reach

FLASH_BACKWARD = 2.5  # five products to the forward pass's two (FlashAttention-2, Dao 2023)

# Bytes read and written a token and unit of width by everything but products: forward, recomputed,
# backward. Counted from every operation of a simulated step on layers of Llama-3.1-8B and Qwen3-8B.
NORM_BYTES, ROTARY_BYTES, STREAM_BYTES, GATE_BYTES = 164, 50, 20, 38
LORA_IN_BYTES, LORA_OUT_BYTES = 19, 35
WITHOUT_RECOMPUTING = 0.76  # share of these bytes when nothing is computed twice
DEQUANTISED_BYTES = 2.5  # a weight: half a byte read, two written


@dataclass(frozen=True, slots=True)
class Gpu:
    """What a data sheet says."""

    name: str
    bf16_tflops: float
    bandwidth_gb_s: float
    vram_gib: float


@dataclass(frozen=True, slots=True)
class Work:
    """How much is trained on: lengths are those of whole examples, in tokens."""

    examples: int
    mean_tokens: int
    epochs: float = 3


@dataclass(frozen=True, slots=True)
class TimePlan:
    """`flops` and `bytes_moved` are a token's; padding is not counted."""

    gpu: str
    flops: float
    bytes_moved: float
    tokens_per_s: float
    tokens: float
    steps: int

    @property
    def seconds(self) -> float:
        """Of training alone: neither loading nor validation."""
        return self.tokens / self.tokens_per_s

    def record(self) -> dict[str, object]:
        """For a JSON file."""
        return {
            "gpu": self.gpu,
            "flops_per_token": self.flops,
            "bytes_per_token": self.bytes_moved,
            "tokens_per_s": self.tokens_per_s,
            "tokens": self.tokens,
            "steps": self.steps,
            "seconds": self.seconds,
            "assumed": {
                "matmul_efficiency": MATMUL_EFFICIENCY,
                "bandwidth_efficiency": BANDWIDTH_EFFICIENCY,
            },
        }


@cache
def known_gpus() -> dict[str, Gpu]:
    """Every GPU of the table, by name."""
    rows = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return {name: Gpu(name, **row) for name, row in rows.items()}


def find_gpu(name: str) -> Gpu:
    """Upper and lower case alike; a part of a name is enough where it fits one alone.

    Raises:
        ConfigurationError: none of the table, or several.
    """
    found = [gpu for key, gpu in known_gpus().items() if name.lower() in key.lower()]
    exact = [gpu for gpu in found if gpu.name.lower() == name.lower()]
    if len(exact or found) != 1:
        raise ConfigurationError(
            f"{name!r} names no GPU of the table, or several: {', '.join(known_gpus())}"
        )
    return (exact or found)[0]


def plan_time(shape: Shape, recipe: Recipe, load: Load, work: Work, gpu: Gpu) -> TimePlan:
    """The time of `work`; examples longer than the load's `max_tokens` count with that length."""
    length = min(work.mean_tokens, load.max_tokens)
    flops = flops_per_token(shape, recipe, length)
    moved = bytes_per_token(shape, recipe, load.batch * length)
    seconds = flops / (gpu.bf16_tflops * 1e12 * MATMUL_EFFICIENCY)
    seconds += moved / (gpu.bandwidth_gb_s * 1e9 * BANDWIDTH_EFFICIENCY)
    per_step = load.batch * load.accumulation
    return TimePlan(
        gpu=gpu.name,
        flops=flops,
        bytes_moved=moved,
        tokens_per_s=1 / seconds,
        tokens=work.examples * length * work.epochs,
        steps=max(1, math.ceil(work.examples / per_step * work.epochs)),
    )


def flops_per_token(shape: Shape, recipe: Recipe, length: int) -> float:
    """Of one training step, a multiplication and an addition counting two.

    products: 2 * weights forward, again when recomputed, again for the gradients of activations,
    and again for those of trained weights. The head is projected to again in the backward pass.
    attention: 4 * width * length / 2 a layer (causal), and 2.5 times that backward.
    """
    again = 1 if recipe.activation_checkpointing else 0
    full = 1 if recipe.method is Method.FULL else 0
    linear = 2 * shape.linear_parameters * (2 + again + full)
    head = 2 * shape.head_parameters * (3 + full)
    adapted = trained_parameters(shape, recipe) if recipe.layers_adapted else 0
    lora = 2 * adapted * (3 + again)
    attention = 2 * shape.attention_width * length * shape.layers * (1 + again + FLASH_BACKWARD)
    return linear + head + lora + attention


def bytes_per_token(shape: Shape, recipe: Recipe, tokens: int) -> float:
    """What kernels other than products move, of one step; `tokens` share each dequantisation."""
    width = shape.attention_width + shape.kv_width
    normed = 2 * shape.hidden + (width if shape.qk_norm else 0)
    layer = (
        NORM_BYTES * normed
        + ROTARY_BYTES * width
        + STREAM_BYTES * shape.hidden
        + GATE_BYTES * shape.intermediate
    )
    for name in recipe.layers_adapted:
        inputs, outputs = shape.linears[name]
        layer += LORA_IN_BYTES * inputs + LORA_OUT_BYTES * outputs
    share = 1 if recipe.activation_checkpointing else WITHOUT_RECOMPUTING
    passes = 3 if recipe.activation_checkpointing else 2
    quantised = recipe.method is Method.QLORA
    dequantised = passes * DEQUANTISED_BYTES * shape.linear_parameters if quantised else 0
    return shape.layers * layer * share + dequantised / tokens
