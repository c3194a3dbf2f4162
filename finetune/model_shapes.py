"""How large a language model is, layer by layer: known models from a table, others from a folder.

The families share one block: RMS norm, attention with grouped keys and values, RMS norm, gated
feed-forward. Sources: the modules `modeling_llama`, `modeling_qwen3` of transformers.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from finetune.errors import ConfigurationError

TABLE = Path(__file__).with_suffix(".toml")
CONFIG = "config.json"
FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
ATTENTION = ("q", "k", "v", "o")
FEED_FORWARD = ("gate", "up", "down")
SIZES = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "vocab_size",
)


@dataclass(frozen=True, slots=True)
class Shape:
    """Widths and counts of a decoder; `biased` names the linear layers that have a bias."""

    name: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    context: int
    tied: bool
    qk_norm: bool = False
    biased: tuple[str, ...] = ()

    @property
    def attention_width(self) -> int:
        """Of the queries, all heads side by side."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """Of the keys, and of the values."""
        return self.kv_heads * self.head_dim

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """(in, out) of each linear layer of one block."""
        hidden, queries, keys = self.hidden, self.attention_width, self.kv_width
        return {
            "q": (hidden, queries),
            "k": (hidden, keys),
            "v": (hidden, keys),
            "o": (queries, hidden),
            "gate": (hidden, self.intermediate),
            "up": (hidden, self.intermediate),
            "down": (self.intermediate, hidden),
        }

    @property
    def linear_parameters(self) -> int:
        """Weights of the blocks' linear layers: what is quantised, and what LoRA stands beside."""
        return self.layers * sum(rows * columns for rows, columns in self.linears.values())

    @property
    def head_parameters(self) -> int:
        """Weights that turn the last hidden state into logits."""
        return self.vocabulary * self.hidden

    @property
    def embedding_parameters(self) -> int:
        """The embeddings and, unless it shares their weights, the LM head."""
        return self.head_parameters * (1 if self.tied else 2)

    @property
    def norm_parameters(self) -> int:
        """Norms and biases."""
        block = 2 * self.hidden + (2 * self.head_dim if self.qk_norm else 0)
        biases = sum(self.linears[name][1] for name in self.biased)
        return self.layers * (block + biases) + self.hidden

    @property
    def parameters(self) -> int:
        """All of them.

        linear + embedding + norm parameters; weights that are tied count once.
        """
        return self.linear_parameters + self.embedding_parameters + self.norm_parameters


def find_shape(model: str) -> Shape:
    """The shape of a known model, or of the model in a folder.

    A short name (`Llama-3.1-8B`) is enough where it is the only one.

    Raises:
        ConfigurationError: neither known nor a folder with a readable config.json.
    """
    shapes = known_shapes()
    if model in shapes:
        return shapes[model]
    if Path(model).is_dir():
        return read_shape(Path(model))
    short = [shape for name, shape in shapes.items() if name.partition("/")[2] == model]
    if short:
        return short[0]
    listing = "\n  ".join(shapes)
    raise ConfigurationError(
        f"the shape of {model!r} is not known here; known are\n  {listing}\n"
        f"or give a folder that holds the model's {CONFIG}"
    )


@cache
def known_shapes() -> dict[str, Shape]:
    """Every model of the table, by its hub name."""
    shapes = {}
    for name, row in tomllib.loads(TABLE.read_text(encoding="utf-8")).items():
        for each in (name, *row["also"]):
            shapes[each] = _shape(each, row)
    return shapes


def read_shape(folder: Path) -> Shape:
    """The shape that a model folder's config.json states.

    Raises:
        ConfigurationError: unreadable, of another family, or a size is missing.
    """
    path = folder / CONFIG
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"cannot read {path}: {error}; give a folder with the {CONFIG} of a transformers model"
        ) from error
    if not isinstance(values, dict) or values.get("model_type") not in FAMILIES:
        found = values.get("model_type") if isinstance(values, dict) else values
        raise ConfigurationError(
            f"{path}: model_type {found!r} cannot be planned; can be: {', '.join(FAMILIES)}"
        )
    wrong = [key for key in SIZES if not _is_size(values.get(key))]
    if wrong:
        raise ConfigurationError(f"{path}: {', '.join(wrong)} must each be a number from 1")
    return _shape(str(folder), values)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _shape(name: str, values: Mapping[str, Any]) -> Shape:
    """Keys that a config.json may leave out have the defaults of transformers."""
    heads = values["num_attention_heads"]
    family = values["model_type"]
    return Shape(
        name=name,
        hidden=values["hidden_size"],
        layers=values["num_hidden_layers"],
        heads=heads,
        kv_heads=values.get("num_key_value_heads") or heads,
        head_dim=values.get("head_dim") or values["hidden_size"] // heads,
        intermediate=values["intermediate_size"],
        vocabulary=values["vocab_size"],
        context=values.get("max_position_embeddings") or 2048,
        tied=bool(values.get("tie_word_embeddings", False)),
        qk_norm=family == "qwen3",
        biased=_biased(family, values),
    )


def _biased(family: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    if family == "qwen2":
        return ("q", "k", "v")
    attention = ATTENTION if values.get("attention_bias") else ()
    return attention + (FEED_FORWARD if values.get("mlp_bias") else ())
