"""A safetensors file says what it holds, or is refused before anything is read from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from finetune.errors import DamagedAdapterError
from finetune.manifest import WEIGHTS_FILE
from finetune.safetensors_header import not_finite, read_header
from tests.finetune.saved_adapters import RENAMED

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings(RENAMED)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 4,
        (10**15).to_bytes(8, "little") + b"{}",
        (5).to_bytes(8, "little") + b"hello",
        (2).to_bytes(8, "little") + b"[]",
        (14).to_bytes(8, "little") + b'{"a": "wrong"}',
    ],
)
def test_file_that_is_no_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / WEIGHTS_FILE).write_bytes(content)

    with pytest.raises(DamagedAdapterError, match="is no whole safetensors file"):
        read_header(tmp_path / WEIGHTS_FILE)


def test_weights_that_were_cut_off_are_refused(adapter: Path) -> None:
    path = adapter / WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(DamagedAdapterError, match="bytes are announced"):
        read_header(path)


def save_raw(path: Path, rows: dict[str, Any], size: int) -> Path:
    """A safetensors file with the header as given, and `size` bytes of weights."""
    header = json.dumps(rows).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))
    return path


def row(start: Any, end: int, shape: Any = (2, 2), dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    ("rows", "size", "problem"),
    [
        ({"a": row(0, 16), "b": row(0, 16)}, 16, r"b lies at \[0, 16\].*must lie at \[16, 32\]"),
        ({"a": row(0, 16), "b": row(8, 24)}, 24, r"b lies at \[8, 24\].*must lie at \[16, 32\]"),
        ({"a": row(0, 16), "b": row(20, 36)}, 36, r"b lies at \[20, 36\].*must lie at \[16, 32\]"),
        ({"a": row(4, 20)}, 20, r"a lies at \[4, 20\].*must lie at \[0, 16\]"),
        ({"a": row(0, 4)}, 4, r"a lies at \[0, 4\].*must lie at \[0, 16\]"),
        ({"a": row(0, 16, dtype="BF16")}, 16, r"must lie at \[0, 8\]"),
        ({"a": row(0.0, 16)}, 16, r"a lies at \[0.0, 16\]"),
        ({"a": row(0, 16, dtype="F33")}, 16, "a has the type 'F33'"),
        ({"a": row(0, 16, (-2, -2))}, 16, r"a has the shape \[-2, -2\]"),
        ({"a": row(0, 16, "22")}, 16, "a has the shape '22'"),
        ({"a": row(0, 16)}, 17, "bytes are announced"),
        ({}, 1, "bytes are announced"),
    ],
)
def test_header_that_does_not_describe_its_bytes_is_refused(
    tmp_path: Path, rows: dict[str, Any], size: int, problem: str
) -> None:
    with pytest.raises(DamagedAdapterError, match=rf"no whole safetensors file \(.*{problem}"):
        read_header(save_raw(tmp_path / WEIGHTS_FILE, rows, size))


def test_header_in_any_order_and_with_empty_tensors_is_read(tmp_path: Path) -> None:
    rows = {"b": row(0, 16), "a": row(16, 24, dtype="F16"), "c": row(16, 16, (0, 2))}
    tensors = read_header(save_raw(tmp_path / WEIGHTS_FILE, rows, 24))

    assert [tensor.name for tensor in tensors] == ["a", "b", "c"]
    starts = {tensor.name: tensor.start - tensors[1].start for tensor in tensors}
    assert starts == {"a": 16, "b": 0, "c": 16}


@pytest.mark.parametrize(
    "dtype", ["float16", "bfloat16", "float32", "float64", "float8_e4m3fn", "float8_e5m2"]
)
def test_nan_is_found_in_every_type_of_float(tmp_path: Path, dtype: str) -> None:
    from safetensors.torch import save_file as save_torch

    kind = getattr(torch, dtype)
    largest, whole = torch.finfo(kind).max, torch.arange(3)
    numbers = torch.tensor([0.0, -1.0, largest, -largest], dtype=torch.float64).to(kind)
    nan = torch.tensor([0.0, 1.0, float("nan")]).to(kind)
    save_torch({"good": numbers, "whole": whole, "bad": nan}, tmp_path / WEIGHTS_FILE)

    assert not_finite(tmp_path / WEIGHTS_FILE) == ["bad"]


def test_header_says_what_safetensors_says(tiny_models: Path) -> None:
    loaded = load_file(tiny_models / "lora" / WEIGHTS_FILE)

    assert {
        tensor.name: tensor.shape for tensor in read_header(tiny_models / "lora" / WEIGHTS_FILE)
    } == {name: tensor.shape for name, tensor in loaded.items()}
