"""Reads prompts and writes token after token, for many rows at once.

Rows join and leave between steps. Where a model's cache is plain keys and values, they share a
batch, whatever their adapters; else (sliding windows, recurrent states) each keeps a cache of its
own, and they take turns.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from serving.loaded_adapters import LoadedAdapters
from serving.sampling import Sampler, pick

if TYPE_CHECKING:
    import torch

    from serving.kv_slots import Slots

PAD = 0  # stands behind the end of a shorter row, where nothing looks


@dataclass(slots=True, eq=False)
class Row:
    """A text in the making. `token` was picked and not read yet; None: the logits are no numbers.

    `adapter` is the label of a loaded one, None for the base model.
    """

    prompt: Sequence[int]
    sampler: Sampler
    adapter: str | None = None
    token: int | None = None
    cache: Any = field(default=None, repr=False)  # of a row that shares none
    length: int = 0  # tokens in it


class Decoder:
    """Works for one thread; no method may be called while another runs."""

    def __init__(self, adapters: LoadedAdapters) -> None:
        self._adapters = adapters
        self._options = _step_options(adapters.model)
        self._layers = _layers_to_share(adapters.model)
        self._shared: list[Row] = []
        self._slots: Slots | None = None
        self._apart: list[Row] = []

    @property
    def shares(self) -> bool:
        """Whether rows share a batch."""
        return self._layers is not None

    def read(self, rows: Sequence[Row]) -> None:
        """Read their prompts, pick each one's first token, and let them take part in `step`.

        Those of prompt tuning are read one by one: their first vectors are no tokens.
        """
        plain = [row for row in rows if self._adapters.prefix(row.adapter) is None]
        together = plain if self.shares else []
        if together:
            self._read_together(together)
        for row in rows:
            if row not in together:
                self._read_alone(row)

    def step(self) -> None:
        """Read each row's token and pick the next."""
        if self._slots:
            tokens = self._tensor([[row.token] for row in self._shared])
            logits, _ = self._forward(
                self._shared,
                {
                    "input_ids": tokens,
                    "past_key_values": self._slots.cache,
                    **self._slots.step(),
                },
            )
            _pick(self._shared, logits[:, -1])
        for row in self._apart:
            row.length += 1
            logits, row.cache = self._forward(
                [row],
                {
                    "input_ids": self._tensor([[row.token]]),
                    "past_key_values": row.cache,
                    "attention_mask": self._tensor([[1] * row.length]),
                },
            )
            _pick([row], logits[:, -1])

    def drop(self, row: Row) -> None:
        """Free its place, if it has one."""
        if row in self._apart:
            self._apart.remove(row)
        elif row in self._shared and self._slots:
            place = self._shared.index(row)
            self._slots.remove(place)
            self._shared[place] = self._shared[-1]
            self._shared.pop()
            if not self._shared:
                self._slots = None

    def clear(self) -> None:
        """Forget every row, after a failure in the middle of a step."""
        self._shared, self._slots, self._apart = [], None, []

    def _read_together(self, rows: list[Row]) -> None:
        """Padded on the right, where causal attention never looks: so no mask is needed."""
        lengths = [len(row.prompt) for row in rows]
        longest = max(lengths)
        padded = [[*row.prompt, *[PAD] * (longest - len(row.prompt))] for row in rows]
        ends = sorted({length - 1 for length in lengths})
        logits, cache = self._forward(rows, {"input_ids": self._tensor(padded)}, ends=ends)
        columns = [ends.index(length - 1) for length in lengths]
        self._join(rows, cache, lengths)
        _pick(rows, logits[range(len(rows)), columns])

    def _read_alone(self, row: Row) -> None:
        inputs = {"input_ids": self._tensor([row.prompt])}
        row.length = len(row.prompt)
        prefix = self._adapters.prefix(row.adapter)
        if prefix is not None:
            inputs = {"inputs_embeds": _joined(prefix, self._adapters.embed(inputs["input_ids"]))}
            row.length += len(prefix)
        inputs["attention_mask"] = self._tensor([[1] * row.length])
        logits, cache = self._forward([row], inputs)
        if self.shares:
            self._join([row], cache, [row.length])
        else:
            row.cache = cache
            self._apart.append(row)
        _pick([row], logits[:, -1])

    def _join(self, rows: list[Row], cache: Any, lengths: list[int]) -> None:
        from serving.kv_slots import Slots

        if self._slots is None:
            assert self._layers is not None
            self._slots = Slots(self._layers, device=self._adapters.model.device)
        self._slots.add(cache, lengths)
        self._shared += rows

    def _forward(
        self, rows: Sequence[Row], inputs: dict[str, Any], *, ends: Sequence[int] = (-1,)
    ) -> tuple[torch.Tensor, Any]:
        """Logits (rows, ends, vocabulary) after the tokens at these places, and the cache."""
        if "logits_to_keep" in self._options:
            inputs["logits_to_keep"] = 1 if tuple(ends) == (-1,) else self._tensor(ends)
        if "position_ids" not in self._options:
            inputs.pop("position_ids", None)
        out = self._adapters.forward([row.adapter for row in rows], use_cache=True, **inputs)
        logits = out.logits
        if "logits_to_keep" not in self._options:
            logits = logits[:, list(ends)]
        return logits, out.past_key_values

    def _tensor(self, values: Any) -> torch.Tensor:
        import torch

        return torch.tensor(values, device=self._adapters.model.device)


def _pick(rows: Sequence[Row], logits: torch.Tensor) -> None:
    tokens = pick(logits, [row.sampler for row in rows])
    for row, token in zip(rows, tokens, strict=True):
        row.token = token


def _joined(prefix: torch.Tensor, embedded: torch.Tensor) -> torch.Tensor:
    """(virtual tokens, dim) before (1, tokens, dim)."""
    import torch

    return torch.cat([prefix.to(embedded.dtype)[None], embedded], dim=1)


def _step_options(model: Any) -> frozenset[str]:
    """The names that its `forward` takes."""
    return frozenset(inspect.signature(model.forward).parameters)


def _layers_to_share(model: Any) -> int | None:
    """Layers of its cache, where rows can share one: found by reading two tokens."""
    import torch
    from transformers.cache_utils import DynamicCache, DynamicLayer

    if "position_ids" not in _step_options(model):
        return None
    with torch.inference_mode():
        tokens = torch.tensor([[PAD, PAD]], device=model.device)
        out = model(input_ids=tokens, use_cache=True)
    cache: Any = getattr(out, "past_key_values", None)
    if type(cache) is not DynamicCache:
        return None
    plain = all(type(layer) is DynamicLayer for layer in cache.layers)
    return len(cache.layers) if plain and cache.layers else None
