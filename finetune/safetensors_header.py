"""What a safetensors file says of its tensors, without reading them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from finetune.errors import DamagedAdapterError

MAX_HEADER_BYTES = 100_000_000  # of the safetensors format


@dataclass(frozen=True, slots=True)
class Tensor:
    """A line of a safetensors header; `start` is where its bytes begin in the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    path: Path


def read_header(path: Path) -> list[Tensor]:
    """What a safetensors file says it holds, by name, without reading weights.

    Raises:
        DamagedAdapterError: it is cut off, or no safetensors file.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(MAX_HEADER_BYTES, path.stat().st_size - 8):
                raise ValueError("the header is longer than the file may be")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        tensors = [
            Tensor(
                name, row["dtype"], tuple(row["shape"]), 8 + length + row["data_offsets"][0], path
            )
            for name, row in sorted(header.items())
        ]
        end = max((row["data_offsets"][1] for row in header.values()), default=0)
        if path.stat().st_size != 8 + length + end:
            raise ValueError(f"{8 + length + end:,} bytes are announced")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DamagedAdapterError(
            f"{path} is no whole safetensors file ({error}); copy or save it again"
        ) from error
    return tensors
