"""Copying for its own sake: a run of tokens, then pieces of it again in another order.

A model that quotes must first find where the words that it has just written stand, and go on from
there. On conversations alone this is learned late; here every token of the second half teaches it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from finetune.encoding import Encoded
from finetune.starter_model.tokenizer import beginning

TEXT_RATE = 0.5  # of the drills on real text; the others are on tokens drawn at random
SHORTEST_PIECE = 5  # tokens


def drill(texts: Sequence[str], tokenizer: Any, rng: random.Random, *, tokens: int) -> Encoded:
    """At most `2 * tokens` ids, the second half to be learned."""
    length = rng.randrange(2 * SHORTEST_PIECE, tokens)
    if rng.random() < TEXT_RATE:
        text = rng.choice(texts)
        start = rng.randrange(max(1, len(text) - 5 * length))
        ids = tokenizer(text[start : start + 5 * length])["input_ids"][:length]
    else:
        ids = [rng.randrange(len(tokenizer)) for _ in range(length)]
    most = max(1, len(ids) // SHORTEST_PIECE)
    cuts = sorted(rng.sample(range(len(ids)), min(rng.randrange(most), 6)))
    pieces = [ids[a:b] for a, b in zip([0, *cuts], [*cuts, len(ids)], strict=True)]
    rng.shuffle(pieces)
    again = [each for piece in pieces for each in piece]
    return Encoded(0, (beginning(tokenizer), *ids, *again), len(ids) + 1)
