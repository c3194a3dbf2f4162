"""An exported graph with its tokenizer: encodings in, one row each out, one text on each core.

Texts are never padded into batches. With dynamic int8 a batch shares its scales, so a text's row
would depend on its neighbours; and on a CPU, one text a core is faster than one batch on all. A
text that comes alone, as a question does, is shared out over the cores (docs/LOG.md).
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.onnx_export import MODEL_FILE, TOKENIZER_FILE

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Encoding, Tokenizer

Row = NDArray[np.float32]

_CORES_OF_ONE_TEXT = 4  # a question is short: more threads only wait for one another


class OnnxModelError(Exception):
    """The graph cannot be loaded or run."""


class OnnxModel:
    """Runs on every core; safe to call from several threads.

    `often_one` says that texts often come alone: a second session of as many threads as cores is
    kept for them then (about 30 MB).
    """

    def __init__(self, folder: Path, *, max_tokens: int, often_one: bool = False) -> None:
        from tokenizers import Tokenizer

        self._cores = len(os.sched_getaffinity(0))
        try:
            self._session = _session(folder, threads=1)
            self._alone = self._session
            if often_one and self._cores > 1:
                self._alone = _session(folder, threads=min(self._cores, _CORES_OF_ONE_TEXT))
            self.tokenizer: Tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        except Exception as error:  # both libraries raise bare Exceptions
            raise OnnxModelError(
                f"cannot load the model in {folder}: {error}; remove the folder to remake it"
            ) from error
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(max_tokens)
        self.name = folder.name

    def run(self, encodings: Sequence[Encoding], *, budget_ms: float = math.inf) -> list[Row]:
        """The graph's output for each encoding, in their order.

        Once the budget is spent no other text is begun: rows are missing at the end then.

        Raises:
            OnnxModelError: the runtime failed.
        """
        if len(encodings) == 1:
            return [self._run(self._alone, encodings[0])]
        ends = time.perf_counter() + budget_ms / 1000

        def run_in_time(encoding: Encoding) -> Row | None:
            return self._run(self._session, encoding) if time.perf_counter() < ends else None

        # Threads of this call alone: a question does not queue behind a document's passages.
        with ThreadPoolExecutor(self._cores) as pool:
            done = list(pool.map(run_in_time, encodings))
        return [row for row in done if row is not None]

    def _run(self, session: InferenceSession, encoding: Encoding) -> Row:
        inputs = (encoding.ids, encoding.attention_mask, encoding.type_ids)
        tokens, mask, types = (np.array([ids], dtype=np.int64) for ids in inputs)  # (1, tokens)
        feeds = {"input_ids": tokens, "attention_mask": mask, "token_type_ids": types}
        try:
            (output,) = session.run(None, feeds)
        except Exception as error:  # ONNX Runtime raises bare Exceptions
            raise OnnxModelError(f"{self.name} failed on a text: {error}") from error
        row: Row = np.asarray(output, dtype=np.float32)[0]
        return row


def _session(folder: Path, *, threads: int) -> InferenceSession:
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(
        str(folder / MODEL_FILE), options, providers=["CPUExecutionProvider"]
    )
