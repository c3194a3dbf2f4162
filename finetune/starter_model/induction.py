"""Two layers that can copy from the first step on.

To quote, a model looks for where the words just written stand in its prompt, and takes the word
that follows: an induction head (Olsson et al. 2022). One layer tells each token which one stands
before it; the next looks for the token whose predecessor is the present one, and copies it. Found
by gradient descent from random weights, this takes a small model longer than a CPU has time for, so
it is written into the first weights, as initial values that training changes like all others
(compare mimetic initialisation, Trockman and Kolter 2023).

Every embedding has one dimension that is the same for all tokens. Queries and keys made of it
alone depend on nothing but the distance that RoPE turns them by, so a head can look one token back.
What is compared by content uses the dimensions that RoPE turns slowly.
"""

from __future__ import annotations

from typing import Any

CONSTANT = 0  # the dimension that is the same in all embeddings
CONSTANT_VALUE = 4.0  # in standard deviations of an embedding's other dimensions
EMBEDDING_STD = 0.05
LOOKING_HEADS = 2  # of the first layer, one token back; the second layer's copy as many
LOOK_BACK = 2.2  # entries of queries and keys: the larger, the less the other tokens count
TELL = 0.06  # how strongly a token's predecessor is written into it
MATCH = 2.5  # entries of what is compared
COPY = 0.8  # how strongly the token found is written
SLOW_FROM = 12  # of 32 pairs of dimensions, those that RoPE turns slowly begin here


def write_induction(model: Any, *, seed: int) -> None:
    """Replace some of a fresh `LlamaForCausalLM`'s weights, in place; heads have 64 dimensions."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    width = model.config.hidden_size
    size = model.config.head_dim
    looking, copying = model.model.layers[0].self_attn, model.model.layers[1].self_attn
    with torch.no_grad():
        embeddings = model.model.embed_tokens.weight  # (vocabulary, width)
        embeddings.normal_(0, EMBEDDING_STD, generator=generator)
        embeddings[:, CONSTANT] = CONSTANT_VALUE * EMBEDDING_STD
        for head in range(LOOKING_HEADS):
            rows = slice(head * size, (head + 1) * size)
            told = _directions(size, width, generator)  # (size, width)
            place = _directions(size, width, generator)
            _look_back(looking, rows, model.model.rotary_emb.inv_freq)
            looking.v_proj.weight[rows] = told
            looking.o_proj.weight[:, rows] = TELL * place.T
            _compare(copying, rows, told, place)
            kept = _directions(size, width, generator)
            copying.v_proj.weight[rows] = kept
            copying.o_proj.weight[:, rows] = COPY * kept.T


def _look_back(attention: Any, rows: slice, turns: Any) -> None:
    """Queries and keys of one head from the constant dimension; the best distance is one.

    RoPE turns the pair of dimensions (f, f + size / 2) by `turns[f]` a token. A key that is turned
    by one token's angle beforehand agrees most with the query that stands one token later.
    """
    import torch

    half = len(turns)
    for projection in (attention.q_proj, attention.k_proj):
        projection.weight[rows] = 0
    queries, keys = attention.q_proj.weight[rows], attention.k_proj.weight[rows]
    queries[:half, CONSTANT] = LOOK_BACK
    keys[:half, CONSTANT] = LOOK_BACK * torch.cos(turns)
    keys[half:, CONSTANT] = LOOK_BACK * torch.sin(turns)


def _compare(attention: Any, rows: slice, told: Any, place: Any) -> None:
    """Queries from the token itself, keys from what it was told of its predecessor."""
    half = len(told) // 2
    slow = [*range(SLOW_FROM, half), *range(half + SLOW_FROM, 2 * half)]
    for projection, source in ((attention.q_proj, told), (attention.k_proj, place)):
        weights = projection.weight[rows]
        weights[:] = 0
        weights[slow] = MATCH * source[slow]


def _directions(count: int, width: int, generator: Any) -> Any:
    """(count, width) orthonormal rows at random, none of which reads the constant."""
    import torch

    drawn = torch.randn(width - 1, count, generator=generator)
    rows = torch.linalg.qr(drawn).Q.T  # (count, width - 1)
    return torch.cat([torch.zeros(count, 1), rows], dim=1)
