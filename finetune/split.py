"""Which examples train and which only measure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from finetune.errors import ExamplesError
from finetune.examples import Example


def split(
    examples: Sequence[Example], *, validation_rate: float, seed: int
) -> tuple[list[Example], list[Example]]:
    """(training, validation): examples with the same prompt always fall on the same side.

    The prompt's hash decides, so what is added later moves nothing that was there.

    Raises:
        ExamplesError: too few different prompts for both sides.
    """
    kept: list[Example] = []
    held_out: list[Example] = []
    for example in examples:
        share = _share(f"{seed}\n{prompt_text(example)}")
        (held_out if share < validation_rate else kept).append(example)
    if not kept or not held_out:
        raise ExamplesError(
            f"{len(examples)} examples give {len(kept)} for training and {len(held_out)} for "
            f"validation at validation_rate = {validation_rate}; add examples, or name a "
            "validation file"
        )
    return kept, held_out


def prompt_text(example: Example) -> str:
    """Everything before the last answer."""
    return "\n".join(f"{each.role}: {each.content}" for each in example.messages[:-1])


def _share(text: str) -> float:
    """Uniform in [0, 1)."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
