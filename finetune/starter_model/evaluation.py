"""What the trained model can do, on conversations that it never saw: it answers, they are compared.

Answers are written greedily. A quoted answer is right when its words are those of the passage and
its marker is the passage's number; a refusal, when it is the one sentence that refuses.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from finetune.encoding import prompt_ids
from finetune.examples import Example
from finetune.starter_model import grounded, published

ANSWERED_AT_ONCE = 16
MAX_NEW_TOKENS = 96


@dataclass(frozen=True, slots=True)
class Scores:
    """Shares in [0, 1]; the first three of the `answerable`, the last of the `unanswerable`."""

    answerable: int
    word_for_word_rate: float
    right_marker_rate: float
    wrongly_refused_rate: float
    unanswerable: int
    refused_rate: float


def measure(
    model: Any, tokenizer: Any, held_out: Sequence[published.Quoted], *, n: int, seed: int
) -> Mapping[str, Mapping[str, float]]:
    """Scores on `n` conversations of each kind: invented and published, short and long."""
    kinds: dict[str, Callable[[random.Random, bool], Example]] = {
        "invented": lambda rng, long: grounded.example(rng, long=long),
        "published": lambda rng, long: published.grounded(held_out, rng, long=long),
    }
    found = {}
    for kind, draw in kinds.items():
        for long in (False, True):
            rng = random.Random(f"{seed} {kind} {long}")
            examples = [draw(rng, long) for _ in range(n)]
            written = answers(model, tokenizer, examples)
            found[f"{kind}, {'long' if long else 'short'}"] = asdict(compare(examples, written))
    return found


def compare(examples: Sequence[Example], written: Sequence[str]) -> Scores:
    """Each answer that was written against the one that is wanted."""
    refusal = grounded.NOT_IN_DOCUMENTS
    pairs = list(zip((each.answer for each in examples), written, strict=True))
    asked = [(wanted, got) for wanted, got in pairs if wanted != refusal]
    absent = [got for wanted, got in pairs if wanted == refusal]
    return Scores(
        answerable=len(asked),
        word_for_word_rate=_share([got == wanted for wanted, got in asked]),
        right_marker_rate=_share([_markers(got) == _markers(wanted) for wanted, got in asked]),
        wrongly_refused_rate=_share([got == refusal for _, got in asked]),
        unanswerable=len(absent),
        refused_rate=_share([got == refusal for got in absent]),
    )


def answers(model: Any, tokenizer: Any, examples: Sequence[Example]) -> list[str]:
    """What the model writes for each, by itself."""
    import torch

    written = []
    model.eval()
    for start in range(0, len(examples), ANSWERED_AT_ONCE):
        prompts = [
            prompt_ids(each.messages[:-1], tokenizer)
            for each in examples[start : start + ANSWERED_AT_ONCE]
        ]
        width = max(len(prompt) for prompt in prompts)
        padding = tokenizer.pad_token_id
        ids = torch.tensor([[padding] * (width - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        with torch.inference_mode():
            output = model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=MAX_NEW_TOKENS,
                do_sample=False,
                pad_token_id=padding,
            )  # (batch, width + new tokens)
        written += tokenizer.batch_decode(output[:, width:], skip_special_tokens=True)
    return [text.strip() for text in written]


def _markers(text: str) -> list[str]:
    return published.MARKER.findall(text)


def _share(right: Sequence[bool]) -> float:
    return sum(right) / len(right) if right else 0.0
