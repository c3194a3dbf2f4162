"""What a safetensors file says of its tensors, and whether it keeps to it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from finetune.errors import DamagedAdapterError

MAX_HEADER_BYTES = 100_000_000  # of the safetensors format
# Bits of an item, of every type that safetensors 0.6 names.
ITEM_BITS = (
    {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "C64": 64}
    | dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8)
    | dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8)
    | dict.fromkeys(("U16", "I16", "F16", "BF16"), 16)
    | dict.fromkeys(("U32", "I32", "F32"), 32)
    | dict.fromkeys(("U64", "I64", "F64"), 64)
)
# How an item is read, and the bits that are all set in NaN and infinities, and in no number.
NOT_FINITE: dict[str, tuple[str, int]] = {
    "BF16": ("<u2", 0x7F80),
    "F16": ("<u2", 0x7C00),
    "F32": ("<u4", 0x7F800000),
    "F64": ("<u8", 0x7FF0000000000000),
    "F8_E4M3": ("<u1", 0x7F),
    "F8_E5M2": ("<u1", 0x7C),
}
ITEMS_AT_ONCE = 1 << 22


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

    The tensors lie one after another, each as long as its shape says, up to the file's end: the
    format forbids gaps and overlaps.

    Raises:
        DamagedAdapterError: it is cut off, or no safetensors file.
    """
    try:
        with path.open("rb") as file:
            size, length = path.stat().st_size, int.from_bytes(file.read(8), "little")
            if length > min(MAX_HEADER_BYTES, size - 8):
                raise ValueError("the header is longer than the file may be")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        end = 0
        for name, row in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
            end = _checked_end(name, row, end)
        if size != 8 + length + end:
            raise ValueError(f"{8 + length + end:,} bytes are announced")
        return [
            Tensor(
                name, row["dtype"], tuple(row["shape"]), 8 + length + row["data_offsets"][0], path
            )
            for name, row in sorted(header.items())
        ]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedAdapterError(
            f"{path} is no whole safetensors file ({error}); copy or save it again"
        ) from error


def not_finite(path: Path) -> list[str]:
    """Names of the tensors that hold a NaN or an infinity; reads the whole file.

    Raises:
        DamagedAdapterError: it cannot be read.
    """
    try:
        return [tensor.name for tensor in read_header(path) if _holds_no_number(tensor)]
    except OSError as error:
        raise DamagedAdapterError(f"cannot read {path}: {error}; copy it again") from error


def _checked_end(name: str, row: dict[str, object], start: int) -> int:
    """Where the tensor ends that must begin at `start`, both counted from the header's end."""
    shape, dtype, offsets = row["shape"], row["dtype"], row["data_offsets"]
    if not isinstance(shape, list) or any(type(n) is not int or n < 0 for n in shape):
        raise ValueError(f"{name} has the shape {shape!r}, which is no list of sizes")
    if not isinstance(dtype, str) or dtype not in ITEM_BITS:
        raise ValueError(f"{name} has the type {dtype!r}, which the format does not know")
    end = start + math.prod(shape) * ITEM_BITS[dtype] // 8
    if not isinstance(offsets, list) or [(type(n), n) for n in offsets] != [
        (int, start),
        (int, end),
    ]:
        raise ValueError(
            f"{name} lies at {offsets!r}; by its shape, and after the tensor before it, it must "
            f"lie at {[start, end]!r}"
        )
    return end


def _holds_no_number(tensor: Tensor) -> bool:
    if tensor.dtype not in NOT_FINITE:
        return False
    kind, mask = NOT_FINITE[tensor.dtype]
    left, item = math.prod(tensor.shape), np.dtype(kind)
    with tensor.path.open("rb") as file:
        file.seek(tensor.start)
        while left > 0:
            bits = np.frombuffer(file.read(min(left, ITEMS_AT_ONCE) * item.itemsize), item)
            if not bits.size:
                raise OSError("the file became shorter while it was read")
            if bool(((bits & item.type(mask)) == mask).any()):
                return True
            left -= bits.size
    return False
