"""Train the router's head on labelled questions, and calibrate it.

    python -m router.train --data DIR [--out FILE]

`DIR` holds the sets named in `router/intents.toml` (JSON lines, also gzipped). With them go the
examples written for this project and the `dev` half of the starter questions. The head is a
logistic regression on the query vectors of the bundled embedder.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from router.head import Floats, IntentHead
from router.intents import Intent, Route, route_table
from starter import bundle

if TYPE_CHECKING:
    from retrieval.embedding import Embedder

SEED = 20261123
PER_CATEGORY = 250  # questions drawn of each category of a large set
WRITTEN_WEIGHT = 3.0  # of our own examples against the large set's: they are what users ask
FOLDS = 5
THRESHOLDS = np.arange(0.30, 0.66, 0.05)
DEFAULT_THRESHOLD = 0.4  # without `dev` questions to choose on
TEMPERATURES = np.geomspace(0.25, 4.0, 33)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Example:
    """A question, what it wants, and how much it counts."""

    text: str
    intent: Intent
    weight: float
    is_dev: bool = False


def main() -> None:
    """Read the data, train, and write the head."""
    from serving.settings import load_settings
    from serving.wiring import build_embedder

    parser = argparse.ArgumentParser(prog="python -m router.train", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, default=bundle.ROUTER_HEAD, metavar="FILE")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    examples = read_examples(options.data)
    logger.info("examples: %s", dict(Counter(example.intent.value for example in examples)))
    head = train(examples, build_embedder(load_settings()))
    head.save(options.out)
    logger.info(
        "temperature %.2f, threshold %.2f, saved to %s",
        head.temperature,
        head.threshold,
        options.out,
    )


def read_examples(data: Path) -> list[Example]:
    """Every set in the folder that the table names, the written examples, and `dev` questions.

    Raises:
        FileNotFoundError: the folder holds none of the sets.
    """
    table = route_table()
    rng = random.Random(SEED)
    examples = list(_categorised(bundle.ROUTER_EXAMPLES, "examples", None, rng))
    found = [
        (name, path)
        for name in table.data
        for path in (data / f"{name}.jsonl", data / f"{name}.jsonl.gz")
        if path.is_file()
    ]
    if not found:
        raise FileNotFoundError(f"{data} holds none of {', '.join(table.data)} (.jsonl or .gz)")
    for name, path in found:
        examples += _categorised(path, name, PER_CATEGORY, rng)
    examples += [
        Example(question.question, table.questions[question.kind], WRITTEN_WEIGHT, is_dev=True)
        for question in bundle.read_questions(split="dev")
    ]
    return examples


def train(examples: Sequence[Example], embedder: Embedder) -> IntentHead:
    """Fit on all examples; the temperature is chosen on predictions for held-out folds."""
    vectors = embedder.embed([example.text for example in examples])  # (n, d)
    classes = tuple(Intent)
    labels = np.array([classes.index(example.intent) for example in examples])
    weights = np.array([example.weight for example in examples])
    counts = np.array([weights[labels == label].sum() for label in range(len(classes))])
    weights = weights * (counts.sum() / (len(classes) * counts))[labels]  # classes count alike
    held_out = np.zeros((len(examples), len(classes)), dtype=np.float32)
    folds = np.random.default_rng(SEED).integers(FOLDS, size=len(examples))
    for fold in range(FOLDS):
        seen = folds != fold
        matrix, bias = _fit(vectors[seen], labels[seen], weights[seen])
        held_out[~seen] = vectors[~seen] @ matrix.T + bias
    temperature = min(TEMPERATURES, key=lambda t: _log_loss(held_out / t, labels, weights))
    is_dev = np.array([example.is_dev for example in examples])
    threshold = _threshold(held_out[is_dev] / temperature, labels[is_dev])
    matrix, bias = _fit(vectors, labels, weights)
    return IntentHead(
        weights=matrix,
        bias=bias,
        temperature=float(temperature),
        threshold=threshold,
        embedder=embedder.name,
    )


def _categorised(path: Path, name: str, limit: int | None, rng: random.Random) -> Iterator[Example]:
    table = route_table().data[name]
    rows: dict[str, list[str]] = {category: [] for category in table.intents}
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row[table.category] in rows:
                rows[row[table.category]].append(row[table.text])
    for category, texts in rows.items():
        rng.shuffle(texts)
        weight = WRITTEN_WEIGHT if limit is None else 1.0
        yield from (Example(text, table.intents[category], weight) for text in texts[:limit])


def _fit(vectors: Floats, labels: Floats, weights: Floats) -> tuple[Floats, Floats]:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=10.0, max_iter=2000)
    model.fit(vectors, labels, sample_weight=weights)
    return model.coef_.astype(np.float32), model.intercept_.astype(np.float32)


def _threshold(logits: Floats, labels: Floats) -> float:
    """The confidence below which `hybrid` is taken: best mean recall of the routes, on `dev`."""
    if not len(logits):
        return DEFAULT_THRESHOLD
    routes = list(route_table().routes.values())
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)  # (n, intents)
    gold = [routes[label] for label in labels]

    def mean_recall(threshold: float) -> float:
        taken = [
            routes[int(row.argmax())] if row.max() >= threshold else Route.HYBRID
            for row in probabilities
        ]
        recalls = [
            sum(t == g == route for t, g in zip(taken, gold, strict=True)) / gold.count(route)
            for route in Route
            if route in gold
        ]
        return float(np.mean(recalls))

    return float(max(THRESHOLDS, key=mean_recall))


def _log_loss(logits: Floats, labels: Floats, weights: Floats) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probability = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    own = log_probability[np.arange(len(labels)), labels]
    return float(-(own * weights).sum() / weights.sum())


if __name__ == "__main__":
    main()
