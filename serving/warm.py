"""Do now what the first start would do: `python -m serving.warm` exports the models to ONNX."""

from __future__ import annotations

import logging

from serving.settings import load_settings
from serving.wiring import build_embedder, build_reranking, build_unit_embedder


def main() -> None:
    """Export unless it was done before; afterwards starting needs neither time nor network."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = load_settings()
    build_embedder(settings)
    build_unit_embedder(settings)
    build_reranking(settings)


if __name__ == "__main__":
    main()
