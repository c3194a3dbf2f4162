"""Peak GPU memory of a training step, term by term, from a model's shape alone.

What is assumed: the block of `model_shapes`, attention that keeps no (tokens, tokens) matrix
(SDPA or FlashAttention), transformers' eager kernels, and TRL's fused LM head. The sums of a
layer's activations were held against every allocation of a simulated step (bf16, no GPU) of
Llama-3.1-8B's and Qwen3-8B's layers: within 3 %. `eval/qlora_gpu.py` measures the whole on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass

from finetune.configuration import Method, Optimizer, Targets
from finetune.model_shapes import ATTENTION, FEED_FORWARD, Shape

GIB = 2**30
ADAPTED = {Targets.ATTENTION: ATTENTION, Targets.ALL_LINEAR: ATTENTION + FEED_FORWARD}

# NF4: 4 bits a weight, and for each block of 64 its largest value: in 32 bits, or quantised again
# to 8 bits with a 32-bit scale for 256 of them (QLoRA, Dettmers et al. 2023, section 3).
NF4_BITS = 4
BLOCK, SECOND_BLOCK = 64, 256
SINGLE_BITS = 32 / BLOCK  # 0.5
DOUBLE_BITS = 8 / BLOCK + 32 / (BLOCK * SECOND_BLOCK)  # 0.127

# Two moments a weight, each with a 32-bit scale for 256 values (bitsandbytes, blockwise 8 bit).
STATES_8BIT = 2 * (1 + 4 / 256)
STATES_32BIT = 8.0

# TRL projects to logits in tiles and forgets each: trl/kernels/chunked_logprob.py.
HEAD_TILE_TOKENS, HEAD_TILE_VOCABULARY = 4096, 32768

AUTOCAST = 2  # bytes of what is computed under bf16 autocast
FP32 = 4
WORKSPACE_GIB = 0.03  # cuBLAS
CONTEXT_GIB = 0.5  # assumed: the CUDA context and its kernels, outside PyTorch's allocator
FRAGMENTATION_RATE = 0.05  # assumed: what the allocator holds beyond what is in use


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained, apart from how much of it at a time.

    `stored_bytes` is the width of unquantised weights and of the stream between layers;
    `trained_bytes` that of an adapter's weights.
    """

    method: Method = Method.QLORA
    rank: int = 16
    adapted: tuple[str, ...] = ADAPTED[Targets.ATTENTION]
    dropout: float = 0.05
    virtual_tokens: int = 20
    optimizer: Optimizer = Optimizer.PAGED_ADAMW_8BIT
    double_quantization: bool = True
    activation_checkpointing: bool = True
    stored_bytes: int = 2
    trained_bytes: int = 4

    @property
    def layers_adapted(self) -> tuple[str, ...]:
        """The linear layers that LoRA stands beside."""
        return self.adapted if self.method in (Method.QLORA, Method.LORA) else ()


@dataclass(frozen=True, slots=True)
class Load:
    """How much goes through at a time: sequences, their longest length, steps added up."""

    batch: int = 2
    max_tokens: int = 2048
    accumulation: int = 8

    @property
    def tokens(self) -> int:
        """In one forward pass, at worst."""
        return self.batch * self.max_tokens


@dataclass(frozen=True, slots=True)
class Term:
    """One part of the peak; `formula` says where it comes from."""

    name: str
    gib: float
    formula: str


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Every part of the peak: `terms` inside PyTorch's allocator, `overhead` around it."""

    terms: tuple[Term, ...]
    overhead: tuple[Term, ...]

    @property
    def allocated_gib(self) -> float:
        """What `torch.cuda.max_memory_allocated` should say."""
        return sum(term.gib for term in self.terms)

    @property
    def total_gib(self) -> float:
        """What the card must have."""
        return self.allocated_gib + sum(term.gib for term in self.overhead)

    def record(self) -> dict[str, object]:
        """For a JSON file."""
        every = (*self.terms, *self.overhead)
        return {
            "total_gib": self.total_gib,
            "allocated_gib": self.allocated_gib,
            "terms": [
                {"name": term.name, "gib": term.gib, "formula": term.formula} for term in every
            ],
        }


def plan_memory(shape: Shape, recipe: Recipe, load: Load) -> MemoryPlan:
    """The peak: what stays all the time, what a step keeps, and the most that it holds beside.

    The backward pass through one layer and the loss come at different moments, so only the larger
    of the two counts.
    """
    terms = (*_weights(shape, recipe), *_training(shape, recipe), *_step(shape, recipe, load))
    held = sum(term.gib for term in terms)
    overhead = (
        Term(
            "allocator overhead",
            FRAGMENTATION_RATE * held,
            f"assumed: {FRAGMENTATION_RATE:.0%} of the above",
        ),
        Term("CUDA context", CONTEXT_GIB, "assumed"),
    )
    return MemoryPlan(terms, overhead)


def trained_parameters(shape: Shape, recipe: Recipe) -> int:
    """LoRA: rank * (in + out) for each adapted layer; prompt tuning: virtual tokens * hidden."""
    if recipe.method is Method.FULL:
        return shape.parameters
    if recipe.method is Method.PROMPT_TUNING:
        return recipe.virtual_tokens * shape.hidden
    widths = sum(sum(shape.linears[name]) for name in recipe.layers_adapted)
    return shape.layers * recipe.rank * widths


def saved_bytes_per_token(shape: Shape, recipe: Recipe) -> int:
    """What one layer keeps for its backward pass, in bytes a token.

    RMS norms keep their input in 32 bit; attention its queries, keys, values, output and log sums;
    the gated feed-forward gate, silu(gate) and up; LoRA its inputs, and a byte for each dropout
    decision. With checkpointing, a first norm whose input is 32 bit already shares it.
    """
    hidden, wide, stored = shape.hidden, shape.intermediate, recipe.stored_bytes
    norms = FP32 * hidden * (2 if stored < FP32 else 1)
    if shape.qk_norm:
        norms += FP32 * (shape.attention_width + shape.kv_width)
    attention = AUTOCAST * 2 * (shape.attention_width + shape.kv_width) + FP32 * shape.heads
    feed_forward = 3 * stored * wide
    inputs = _lora_inputs(shape, recipe)
    if recipe.method is Method.FULL:  # weight gradients need every layer's input, and norms theirs
        inputs = AUTOCAST * (2 * hidden + wide) + 2 * stored * hidden
    return norms + attention + feed_forward + inputs


def _lora_inputs(shape: Shape, recipe: Recipe) -> int:
    """Each adapter drops out its own copy of its input; without dropout they share one.

    The input of `o` is then the attention's output, which is kept anyway.
    """
    adapted = recipe.layers_adapted
    low_rank = AUTOCAST * recipe.rank * len(adapted)
    if recipe.dropout:
        return low_rank + sum((AUTOCAST + 1) * shape.linears[name][0] for name in adapted)
    groups = ({"q", "k", "v"}, {"gate", "up"}, {"down"})
    inputs = [shape.hidden, shape.hidden, shape.intermediate]
    used = [width for group, width in zip(groups, inputs, strict=True) if group & set(adapted)]
    return low_rank + AUTOCAST * sum(used)


def _weights(shape: Shape, recipe: Recipe) -> list[Term]:
    other = shape.embedding_parameters + shape.norm_parameters
    bits = 8 * recipe.stored_bytes
    if recipe.method is not Method.QLORA:
        return [_term("weights", shape.parameters * bits / 8, f"parameters * {bits} bit")]
    overhead = DOUBLE_BITS if recipe.double_quantization else SINGLE_BITS
    size = shape.linear_parameters * (NF4_BITS + overhead) / 8
    return [
        _term("linear layers, NF4", size, f"parameters * (4 + {overhead:.3f}) bit"),
        _term("embeddings, LM head, norms", other * bits / 8, f"parameters * {bits} bit"),
    ]


def _training(shape: Shape, recipe: Recipe) -> list[Term]:
    trained = trained_parameters(shape, recipe)
    full = recipe.method is Method.FULL
    width = recipe.stored_bytes if full else recipe.trained_bytes
    state = {
        Optimizer.PAGED_ADAMW_8BIT: STATES_8BIT,
        Optimizer.PAGED_ADAMW: STATES_32BIT,
        Optimizer.ADAMW: 2.0 * width,
    }[recipe.optimizer]
    weights = [] if full else [_term("adapter", trained * width, f"{trained:,} * {width} bytes")]
    return [
        *weights,
        _term("gradients", trained * width, f"{trained:,} * {width} bytes"),
        _term("optimizer states", trained * state, f"{trained:,} * {state:.2f} bytes"),
    ]


def _step(shape: Shape, recipe: Recipe, load: Load) -> list[Term]:
    tokens = _tokens(recipe, load)
    saved = saved_bytes_per_token(shape, recipe)
    kept, depth = saved, "layers * tokens * what a layer keeps"
    if recipe.activation_checkpointing:
        kept = recipe.stored_bytes * shape.hidden
        depth = f"layers * tokens * hidden * {recipe.stored_bytes} bytes: inputs of layers"
    recomputed = saved * tokens if recipe.activation_checkpointing else 0
    backward = recomputed + _gradients_of_layer(shape, recipe, tokens)
    loss = _loss(shape, recipe, tokens)
    peak, moment = max((backward, "backward pass of one layer"), (loss, "loss on logits in tiles"))
    other = min(backward, loss) / GIB
    terms = [
        _term("activations kept", shape.layers * tokens * kept, depth),
        _term(moment, peak, f"the most beside; at another moment {other:.2f} GiB"),
        Term("workspace", WORKSPACE_GIB, "cuBLAS"),
    ]
    if load.batch > 1:  # unequal lengths: True or False, and as numbers for the kernel
        mask = (1 + AUTOCAST) * load.batch * load.max_tokens**2
        terms.append(_term("attention mask", mask, "batch * tokens² * 3 bytes, when padded"))
    return terms


def _gradients_of_layer(shape: Shape, recipe: Recipe, tokens: int) -> float:
    """The most that the backward pass of a layer holds beside what it kept.

    Gradients of the feed-forward's three inner results, (tokens, intermediate) each, and two of
    the stream; or, on few tokens, the largest linear layer dequantised in place of one of them.
    Where `down` has LoRA, its own inputs are gone by the time of the third.
    """
    inner = recipe.stored_bytes * shape.intermediate * tokens
    count = 2 if "down" in recipe.layers_adapted else 3
    largest = max(rows * columns for rows, columns in shape.linears.values())
    quantised = recipe.method is Method.QLORA
    dequantised = largest * recipe.stored_bytes if quantised else 0
    stream = 2 * recipe.stored_bytes * shape.hidden * tokens
    return max(count * inner, (count - 1) * inner + dequantised) + stream


def _loss(shape: Shape, recipe: Recipe, tokens: int) -> float:
    """A tile of logits; the last norm's input and the head's gradient in 32 bit, three of 16.

    Training the head adds its gradient in 32 bit and the copy that it is cast to.
    """
    tile = AUTOCAST * min(tokens, HEAD_TILE_TOKENS) * HEAD_TILE_VOCABULARY
    hidden = (2 * FP32 + 3 * recipe.stored_bytes) * shape.hidden * tokens
    trains_head = recipe.method is Method.FULL
    head = shape.head_parameters * (FP32 + recipe.stored_bytes) if trains_head else 0
    return tile + hidden + head


def _tokens(recipe: Recipe, load: Load) -> int:
    virtual = recipe.virtual_tokens if recipe.method is Method.PROMPT_TUNING else 0
    return load.batch * (load.max_tokens + virtual)


def _term(name: str, size: float, formula: str) -> Term:
    return Term(name, size / GIB, formula)
