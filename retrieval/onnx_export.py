"""Sentence-embedding weights -> an int8 ONNX graph, made once and named by the weights' hash.

Run as `python -m retrieval.onnx_export WEIGHTS_DIR TARGET_DIR [ADAPTER_DIR]`, which
`ensure_exported` does in a child process, so that the process that serves never loads torch.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.errors import EmbeddingError

if TYPE_CHECKING:
    import torch

MODEL_FILE = "model.int8.onnx"
TOKENIZER_FILE = "tokenizer.json"
_FORMAT = "v1"  # part of the folder's name; raise it when the graph changes

logger = logging.getLogger(__name__)


def ensure_exported(weights_dir: Path, models_dir: Path, *, adapter_dir: Path | None) -> Path:
    """Folder that holds `MODEL_FILE` and `TOKENIZER_FILE`; exports them the first time (~30 s).

    An adapter (PEFT, safetensors) is merged into the weights before the export.

    Raises:
        EmbeddingError: the weights are missing or the export failed; says with what.
    """
    sources = [weights_dir / "model.safetensors"]
    if adapter_dir is not None:
        sources += [adapter_dir / "adapter_model.safetensors", adapter_dir / "adapter_config.json"]
    digest = hashlib.sha256()
    for source in sources:
        if not source.is_file():
            raise EmbeddingError(f"no file {source}; reinstall the package that brings it")
        with source.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    target = models_dir / f"embedder-{digest.hexdigest()[:12]}-{_FORMAT}"
    if (target / MODEL_FILE).is_file():
        return target
    logger.info("exporting the embedder to ONNX, once (about half a minute)")
    arguments = [str(path) for path in (weights_dir, target, adapter_dir) if path is not None]
    command = [sys.executable, "-m", "retrieval.onnx_export", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise EmbeddingError(f"ONNX export of {weights_dir} failed:\n{done.stderr[-2000:]}")
    return target


def export(weights_dir: Path, target: Path, adapter_dir: Path | None = None) -> None:
    """Write the graph beside its tokenizer; the folder appears whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as scratch:
        full = Path(scratch) / "model.onnx"
        finished = Path(scratch) / "finished"
        finished.mkdir()
        _export_fp32(weights_dir, full, adapter_dir)
        _quantize(full, finished / MODEL_FILE)
        shutil.copy(weights_dir / TOKENIZER_FILE, finished / TOKENIZER_FILE)
        try:
            os.rename(finished, target)
        except OSError:  # another process was faster; its result is the same
            if not (target / MODEL_FILE).is_file():
                raise


def _export_fp32(weights_dir: Path, path: Path, adapter_dir: Path | None) -> None:
    import torch
    from transformers import AutoModel

    encoder = AutoModel.from_pretrained(weights_dir, attn_implementation="eager")
    if adapter_dir is not None:
        from peft import PeftModel

        encoder = PeftModel.from_pretrained(encoder, str(adapter_dir)).merge_and_unload()
    encoder.eval()
    ids = torch.randint(1000, 2000, (2, 16))
    batch, tokens = torch.export.Dim("batch"), torch.export.Dim("tokens")
    torch.onnx.export(
        _mean_pooled(encoder),
        (ids, torch.ones_like(ids), torch.zeros_like(ids)),
        path,
        input_names=["input_ids", "attention_mask", "token_type_ids"],
        output_names=["sentence_embedding"],
        dynamic_shapes=({0: batch, 1: tokens},) * 3,
        dynamo=True,
        verbose=False,
    )


def _mean_pooled(encoder: torch.nn.Module) -> torch.nn.Module:
    import torch

    class MeanPooled(torch.nn.Module):
        """(batch, tokens) ids -> (batch, d) unit vectors: the mean over unmasked tokens."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(
            self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor
        ) -> torch.Tensor:
            hidden = self.encoder(
                input_ids=ids, attention_mask=mask, token_type_ids=types
            ).last_hidden_state  # (batch, tokens, d)
            weights = mask.unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)  # (batch, d)
            return torch.nn.functional.normalize(pooled, dim=1)

    return MeanPooled().eval()


def _quantize(source: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(str(source), str(target), weight_type=QuantType.QInt8, per_channel=True)


if __name__ == "__main__":
    export(*(Path(argument) for argument in sys.argv[1:4]))
