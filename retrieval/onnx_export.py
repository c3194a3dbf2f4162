"""MiniLM weights and an adapter -> an int8 ONNX graph, made once and named by the weights' hash.

Run as `python -m retrieval.onnx_export KIND WEIGHTS_DIR TARGET_DIR [ADAPTER_DIR]`, which
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
import warnings
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.errors import EmbeddingError

if TYPE_CHECKING:
    import torch

MODEL_FILE = "model.int8.onnx"
TOKENIZER_FILE = "tokenizer.json"
_FORMAT = "v2"  # part of the folder's name; raise it when the graph changes

logger = logging.getLogger(__name__)


class Kind(StrEnum):
    """What the graph computes from token ids, mask and types, each (batch, tokens)."""

    EMBEDDER = "embedder"  # (batch, d) unit vectors
    RERANKER = "reranker"  # (batch,) scores of question-passage pairs


def ensure_exported(
    kind: Kind, weights_dir: Path, models_dir: Path, *, adapter_dir: Path | None
) -> Path:
    """Folder that holds `MODEL_FILE` and `TOKENIZER_FILE`; exports them the first time (~30 s).

    An adapter (PEFT, safetensors) is merged into the weights before the export.

    Raises:
        EmbeddingError: the weights are missing or the export failed; says with what.
    """
    target = export_folder(kind, weights_dir, models_dir, adapter_dir=adapter_dir)
    if (target / MODEL_FILE).is_file():
        return target
    logger.info("exporting the %s to ONNX, once (about half a minute)", kind)
    arguments = [str(path) for path in (weights_dir, target, adapter_dir) if path is not None]
    command = [sys.executable, "-m", "retrieval.onnx_export", kind, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise EmbeddingError(f"ONNX export of {weights_dir} failed:\n{done.stderr[-2000:]}")
    return target


def export_folder(
    kind: Kind, weights_dir: Path, models_dir: Path, *, adapter_dir: Path | None
) -> Path:
    """Where the export of these weights lies, made or not: named by their hash.

    Raises:
        EmbeddingError: the weights are missing; says which.
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
    return models_dir / f"{kind}-{digest.hexdigest()[:12]}-{_FORMAT}"


def export(kind: Kind, weights_dir: Path, target: Path, adapter_dir: Path | None = None) -> None:
    """Write the graph beside its tokenizer; the folder appears whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as scratch:
        full, fused = Path(scratch) / "model.onnx", Path(scratch) / "fused.onnx"
        finished = Path(scratch) / "finished"
        finished.mkdir()
        _export_fp32(kind, weights_dir, full, adapter_dir)
        _fuse(weights_dir, full, fused)
        _quantize(fused, finished / MODEL_FILE)
        shutil.copy(weights_dir / TOKENIZER_FILE, finished / TOKENIZER_FILE)
        try:
            os.rename(finished, target)
        except OSError:  # another process was faster; its result is the same
            if not (target / MODEL_FILE).is_file():
                raise


def _export_fp32(kind: Kind, weights_dir: Path, path: Path, adapter_dir: Path | None) -> None:
    import torch

    # The tracing exporter: the fusions below know its graphs, not those of the newer one.
    ids = torch.randint(1000, 2000, (2, 16))
    names = ["input_ids", "attention_mask", "token_type_ids"]
    output = f"{kind}_output"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _graph(kind, _merged(kind, weights_dir, adapter_dir)),
            (ids, torch.ones_like(ids), torch.zeros_like(ids)),
            path,
            input_names=names,
            output_names=[output],
            dynamic_axes={name: {0: "batch", 1: "tokens"} for name in names}
            | {output: {0: "batch"}},
            dynamo=False,
        )


def _fuse(weights_dir: Path, source: Path, target: Path) -> None:
    """Attention, the embeddings and each normalisation become one node each."""
    from onnxruntime.transformers.optimizer import optimize_model
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(weights_dir)
    fused = optimize_model(
        str(source),
        model_type="bert",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
        opt_level=0,
    )
    fused.save_model_to_file(str(target))


def _merged(kind: Kind, weights_dir: Path, adapter_dir: Path | None) -> torch.nn.Module:
    from transformers import AutoModel, AutoModelForSequenceClassification

    if kind is Kind.EMBEDDER:
        model = AutoModel.from_pretrained(weights_dir, attn_implementation="eager")
    else:
        model = AutoModelForSequenceClassification.from_pretrained(
            weights_dir, num_labels=1, attn_implementation="eager"
        )
    if adapter_dir is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(adapter_dir)).merge_and_unload()
    merged: torch.nn.Module = model.eval()
    return merged


def _graph(kind: Kind, model: torch.nn.Module) -> torch.nn.Module:
    import torch

    class MeanPooled(torch.nn.Module):
        """The mean over unmasked tokens, at length 1: (batch, d)."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(
            self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor
        ) -> torch.Tensor:
            hidden = self.model(
                input_ids=ids, attention_mask=mask, token_type_ids=types
            ).last_hidden_state  # (batch, tokens, d)
            weights = mask.unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)  # (batch, d)
            return torch.nn.functional.normalize(pooled, dim=1)

    class Scored(torch.nn.Module):
        """The one logit of each pair: (batch,)."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(
            self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor
        ) -> torch.Tensor:
            logits: torch.Tensor = self.model(
                input_ids=ids, attention_mask=mask, token_type_ids=types
            ).logits  # (batch, 1)
            return logits[:, 0]

    return (MeanPooled() if kind is Kind.EMBEDDER else Scored()).eval()


def _quantize(source: Path, target: Path) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        str(source),
        str(target),
        weight_type=QuantType.QInt8,
        per_channel=True,
        # Fused nodes are not in ONNX's own set, so it cannot infer what they give.
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )


if __name__ == "__main__":
    export(Kind(sys.argv[1]), *(Path(argument) for argument in sys.argv[2:5]))
