"""A logistic head on the query vector that the retriever computed anyway: no second model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from router.intents import Intent, Route, route_table

Floats = NDArray[np.float32]


class HeadError(Exception):
    """The stored head is missing, damaged, or made for another embedder."""


@dataclass(frozen=True, slots=True)
class Routing:
    """A decision: `score` is the calibrated probability of the intent, in [0, 1].

    `intent` and `score` are None when a person chose the route.
    """

    route: Route
    intent: Intent | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class IntentHead:
    """Weights (intents, d), bias (intents,), and the temperature that calibrates them."""

    weights: Floats
    bias: Floats
    temperature: float
    threshold: float
    embedder: str

    def probabilities(self, vectors: Floats) -> Floats:
        """(n, d) -> (n, intents): softmax((vectors @ weights.T + bias) / temperature)."""
        logits = (vectors @ self.weights.T + self.bias) / self.temperature  # (n, intents)
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities: Floats = (shifted / shifted.sum(axis=1, keepdims=True)).astype(np.float32)
        return probabilities

    def route(self, vector: Floats) -> Routing:
        """(d,) -> the route of the likeliest intent; `hybrid` below the threshold."""
        probabilities = self.probabilities(vector[np.newaxis])[0]
        best = int(probabilities.argmax())
        intent, score = tuple(Intent)[best], float(probabilities[best])
        route = route_table().routes[intent] if score >= self.threshold else Route.HYBRID
        return Routing(route=route, intent=intent, score=score)

    def save(self, path: Path) -> None:
        """Write plain arrays as safetensors, settings in its metadata."""
        from safetensors.numpy import save_file

        metadata = {
            "temperature": repr(self.temperature),
            "threshold": repr(self.threshold),
            "embedder": self.embedder,
            "intents": json.dumps(list(Intent)),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".tmp")
        # safetensors writes an array's memory as it lies, so the rows must lie in order.
        arrays = {
            "weights": np.ascontiguousarray(self.weights),
            "bias": np.ascontiguousarray(self.bias),
        }
        save_file(arrays, scratch, metadata=metadata)
        scratch.replace(path)

    @classmethod
    def load(cls, path: Path, *, embedder: str) -> Self:
        """Read a head and check that it fits the embedder.

        Raises:
            HeadError: missing, damaged, other intents, or trained on another embedder's vectors.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                weights, bias = file.get_tensor("weights"), file.get_tensor("bias")
            if json.loads(metadata["intents"]) != list(Intent):
                raise HeadError(f"{path} has the intents {metadata['intents']}; retrain it")
            if weights.ndim != 2 or bias.shape != (len(Intent),) or len(weights) != len(Intent):
                raise HeadError(
                    f"{path} holds weights {weights.shape} and bias {bias.shape} for "
                    f"{len(Intent)} intents; retrain it"
                )
            head = cls(
                weights=weights,
                bias=bias,
                temperature=float(metadata["temperature"]),
                threshold=float(metadata["threshold"]),
                embedder=metadata["embedder"],
            )
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise HeadError(
                f"cannot read the router's head {path}: {error}; `python -m router.train` makes it"
            ) from error
        if head.embedder != embedder:
            raise HeadError(
                f"the router's head {path} was trained on vectors of {head.embedder!r}, the "
                f"embedder is {embedder!r}; run `python -m router.train` with this embedder"
            )
        return head
