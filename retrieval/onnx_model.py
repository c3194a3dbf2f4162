"""An exported graph with its tokenizer: encodings in, one row each out, little padding computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.onnx_export import MODEL_FILE, TOKENIZER_FILE

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

BATCH_TOKENS = 4096  # padded tokens a run; bounds memory, and larger is not faster on a CPU


class OnnxModelError(Exception):
    """The graph cannot be loaded or run."""


class OnnxModel:
    """Runs on every core; safe to call from several threads."""

    def __init__(self, folder: Path, *, max_tokens: int) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        onnxruntime.disable_telemetry_events()
        try:
            self._session = onnxruntime.InferenceSession(
                str(folder / MODEL_FILE), providers=["CPUExecutionProvider"]
            )
            self.tokenizer: Tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        except Exception as error:  # both libraries raise bare Exceptions
            raise OnnxModelError(
                f"cannot load the model in {folder}: {error}; remove the folder to remake it"
            ) from error
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(max_tokens)
        self.name = folder.name

    def run(self, encodings: Sequence[Encoding]) -> list[NDArray[np.float32]]:
        """The graph's output for each encoding, in their order.

        Raises:
            OnnxModelError: the runtime failed.
        """
        rows: dict[int, NDArray[np.float32]] = {}
        order = sorted(range(len(encodings)), key=lambda i: len(encodings[i].ids))
        start = 0
        while start < len(order):
            # Sorted by length, so the last row of a batch sets its width.
            stop = start + 1
            while stop < len(order) and (
                len(encodings[order[stop]].ids) * (stop + 1 - start) <= BATCH_TOKENS
            ):
                stop += 1
            batch = order[start:stop]
            rows |= zip(batch, self._run([encodings[i] for i in batch]), strict=True)
            start = stop
        return [rows[i] for i in range(len(encodings))]

    def _run(self, encodings: Sequence[Encoding]) -> NDArray[np.float32]:
        width = max(len(encoding.ids) for encoding in encodings)
        tokens = np.zeros((len(encodings), width), dtype=np.int64)  # (batch, tokens)
        mask, types = np.zeros_like(tokens), np.zeros_like(tokens)
        for row, encoding in enumerate(encodings):
            length = len(encoding.ids)
            tokens[row, :length] = encoding.ids
            types[row, :length] = encoding.type_ids
            mask[row, :length] = 1
        feeds = {"input_ids": tokens, "attention_mask": mask, "token_type_ids": types}
        try:
            (output,) = self._session.run(None, feeds)
        except Exception as error:  # ONNX Runtime raises bare Exceptions
            raise OnnxModelError(
                f"{self.name} failed on {len(encodings)} texts: {error}"
            ) from error
        return np.asarray(output, dtype=np.float32)
