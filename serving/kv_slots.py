"""Keys and values of rows that step together and have lengths of their own.

A row's tokens stand at the start of its slot, and the mask hides what is behind them: so a row
joins by being copied into a free slot and leaves by giving it to the last one, while nothing of the
others moves. (Padding on the left, as in `generate`, would copy every row whenever one joins, and
`DynamicCache` copies all of them for each token.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import CacheLayerMixin, DynamicCache, DynamicLayer

ROOM = 64  # slots grow by this many tokens at a time


class SlotLayer(CacheLayerMixin):  # type: ignore[misc]
    """One layer's slots, (rows, heads, room, dim); `update` takes one token a row."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: torch.Tensor | None = None
        self.values: torch.Tensor | None = None
        self.lengths = torch.zeros(0, dtype=torch.long)  # (rows,) before the token that comes
        self.longest = 0  # of them

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing: slots are made by `reserve`."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(rows, heads, 1, dim) -> all keys and values, (rows, heads, longest + 1, dim)."""
        assert self.keys is not None
        assert self.values is not None
        count = len(self.lengths)
        rows = torch.arange(count, device=self.lengths.device)
        self.keys[rows, :, self.lengths] = key_states[:, :, 0]
        self.values[rows, :, self.lengths] = value_states[:, :, 0]
        end = self.longest + 1
        return self.keys[:count, :, :end], self.values[:count, :, :end]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Keys that the mask is over, and where they start."""
        return self.longest + query_length, 0

    def get_seq_length(self) -> int:
        """Of the longest row."""
        return self.longest

    def get_max_length(self) -> int:
        """There is none."""
        return -1

    def reserve(self, like: DynamicLayer, rows: int, room: int) -> None:
        """Make place for so many rows of so many tokens, with heads as in `like`."""
        self.keys = _grown(self.keys, like.keys, rows, room)
        self.values = _grown(self.values, like.values, rows, room)
        self.is_initialized = True


class Slots:
    """The cache of a batch; rows are numbered as they joined, and the last fills a gap."""

    def __init__(self, layers: int, *, device: Any) -> None:
        self.cache = DynamicCache()
        self.cache.layers = [SlotLayer() for _ in range(layers)]
        self._device = device
        self._lengths: list[int] = []

    def add(self, prefilled: DynamicCache, lengths: Sequence[int]) -> None:
        """Copy in rows that were read together, padded on the right to the longest."""
        first = len(self._lengths)
        for layer, read in zip(self.cache.layers, prefilled.layers, strict=True):
            layer.reserve(read, first + len(lengths), max(lengths) + 1)
            for row, length in enumerate(lengths):
                _fill(layer.keys[first + row], read.keys[row], length)
                _fill(layer.values[first + row], read.values[row], length)
        self._lengths += lengths

    def remove(self, row: int) -> None:
        """Free a slot: the last row moves there."""
        last = len(self._lengths) - 1
        length = self._lengths[last]
        if row != last:
            for layer in self.cache.layers:
                _fill(layer.keys[row], layer.keys[last], length)
                _fill(layer.values[row], layer.values[last], length)
        self._lengths[row] = length
        self._lengths.pop()

    def step(self) -> dict[str, torch.Tensor]:
        """What the model must know to read one more token of each row, which then counts as read.

        `attention_mask` is (rows, longest + 1), `position_ids` (rows, 1).
        """
        lengths = torch.tensor(self._lengths, device=self._device)
        longest = max(self._lengths)
        for layer in self.cache.layers:
            layer.reserve(layer, len(self._lengths), longest + 1)
            layer.lengths, layer.longest = lengths, longest
        places = torch.arange(longest + 1, device=self._device)
        self._lengths = [length + 1 for length in self._lengths]
        return {
            "attention_mask": (places <= lengths[:, None]).long(),
            "position_ids": lengths[:, None],
        }


def _fill(slot: torch.Tensor, tokens: torch.Tensor, length: int) -> None:
    """Zeros behind them: hidden or not, a key of NaN that another row left would make all NaN."""
    slot[:, :length] = tokens[:, :length]
    slot[:, length:] = 0


def _grown(slots: torch.Tensor | None, like: torch.Tensor, rows: int, room: int) -> torch.Tensor:
    """Slots that hold what they held, in steps of `ROOM` tokens and of twice the rows."""
    old_rows, old_room = (slots.shape[0], slots.shape[2]) if slots is not None else (0, 0)
    if rows <= old_rows and room <= old_room:
        assert slots is not None
        return slots
    new_rows = old_rows if rows <= old_rows else max(rows, 2 * old_rows)
    new_room = old_room if room <= old_room else -(-room // ROOM) * ROOM
    grown = like.new_zeros((new_rows, like.shape[1], new_room, like.shape[3]))
    if slots is not None:
        grown[:old_rows, :, :old_room] = slots
    return grown
