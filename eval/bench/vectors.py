"""Texts -> vectors, kept in files for the next run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eval.corpus_index import Track
from retrieval.embedding import Embedder, Vectors

SLICE = 500  # texts in one file: what an interrupted run loses at most


def embed_all(
    texts: Sequence[str], embedder: Embedder, *, work: Path | None, track: Track
) -> Vectors:
    """(n, d) in the order of the texts; from `work` where they lie there already.

    A file is named by the embedder and the texts, so that no change of either goes unseen.
    """
    parts = []
    for start in track(range(0, len(texts), SLICE), description="Embedding"):
        part = texts[start : start + SLICE]
        parts.append(_kept(part, embedder, work) if work else _embed(part, embedder))
    return np.concatenate(parts)


def _kept(texts: Sequence[str], embedder: Embedder, work: Path) -> Vectors:
    name = hashlib.sha256(json.dumps([embedder.name, *texts]).encode()).hexdigest()[:24]
    file = work / "vectors" / f"{name}.npy"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        scratch = file.with_suffix(".tmp.npy")
        np.save(scratch, _embed(texts, embedder))
        scratch.replace(file)
    found: Vectors = np.load(file, allow_pickle=False)
    return found


def _embed(texts: Sequence[str], embedder: Embedder) -> Vectors:
    order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
    vectors = embedder.embed([texts[place] for place in order])
    back = np.empty_like(vectors)
    back[order] = vectors
    return back
