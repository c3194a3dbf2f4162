"""Logits -> the next token of each row, by each row's own temperature, top_p and seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from serving.answers import Sampling

if TYPE_CHECKING:
    import torch

GREEDY_BELOW = 1e-5  # a temperature this low only ever takes the best token


class Sampler:
    """Draws with a random generator of its own, so that no other row changes what comes."""

    def __init__(self, sampling: Sampling) -> None:
        import torch

        self._temperature = sampling.temperature
        self._top_p = sampling.top_p
        self._random = torch.Generator()
        if sampling.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(sampling.seed)

    @property
    def greedy(self) -> bool:
        """Whether it takes the best token, always."""
        return self._temperature < GREEDY_BELOW

    def draw(self, logits: torch.Tensor) -> int:
        """One token by (vocabulary,) finite logits, on the CPU: the same on every device.

        Of the tokens, those most probable are kept whose probabilities together reach top_p.
        """
        import torch

        scaled = (logits - logits.max()) / self._temperature  # at most 0: nothing overflows
        ordered, tokens = scaled.softmax(dim=-1).sort(descending=True)
        before = ordered.cumsum(dim=-1) - ordered
        ordered[1:][before[1:] >= self._top_p] = 0  # the best always stays
        return int(tokens[torch.multinomial(ordered, 1, generator=self._random)])


def pick(logits: torch.Tensor, samplers: Sequence[Sampler]) -> list[int | None]:
    """The next token of each row of (rows, vocabulary); None where the logits are no numbers."""
    best = logits.max(dim=-1)
    usable = best.values.isfinite().tolist()
    tokens: list[int | None] = [
        token if ok else None for token, ok in zip(best.indices.tolist(), usable, strict=True)
    ]
    for row, sampler in enumerate(samplers):
        if usable[row] and not sampler.greedy:
            tokens[row] = sampler.draw(logits[row].double().cpu())
    return tokens
