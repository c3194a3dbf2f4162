"""Several voices in one set: answers that fall into two styles with a gap between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from finetune.examples import Example
from finetune.problems import Finding, Kind, Problem
from finetune.style_features import features

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Silhouettes above which two styles are clearly apart: along the directions of most variance, where
# noise is filtered out, and in all features, where a small voice stands out better.
# Measured on sets of 100 to 400 answers. One voice (eleven sets): 0.23 to 0.32 in three components
# and 0.11 to 0.25 in all. Two brands, or a brand among essays, 10 to 50 % of the one: 0.37 to 0.71
# in three components, but 0.26 to 0.31 for some sets with 10 %; of those, 0.22 to 0.33 in all.
# Subtle pairs (two translations of one book) stay below and are not reported.
COMPONENTS = 3
SEPARATE_ABOVE = {COMPONENTS: 0.35, None: 0.27}
FEWEST_ANSWERS = 80
SMALLER_RATE = 0.05  # fewer rows than this are odd answers, not a voice
NAMED = 4  # differences told
WIDEST = 3.0  # standard deviations; further out is as far
COMPARED = 2000  # answers that the silhouette is taken of: its cost grows with their square
SEED = 20261127


def voice_problems(examples: Sequence[Example]) -> list[Problem]:
    """The rows of the smaller voice, when two are clearly apart.

    Two-means over standardised style features; clear is a mean silhouette above `SEPARATE_ABOVE`
    in their first principal components, or in all of them.
    Source: Rousseeuw, Journal of Computational and Applied Mathematics 20, 1987.
    """
    if len(examples) < FEWEST_ANSWERS:
        return []
    described = [features(example.answer) for example in examples]
    names, values = _standardised(described)
    if not names:
        return []
    smaller, score = _clear_styles(values)
    count = int(smaller.sum())
    if not count:
        return []
    detail = _differences(names, values, smaller)
    findings = [
        Finding(example.line, detail)
        for example, other in zip(examples, smaller, strict=True)
        if other
    ]
    summary = (
        f"{count:,} of {len(examples):,} answers are in another voice than the rest "
        f"({detail}; silhouette {score:.2f})"
    )
    return [Problem(Kind.MIXED_VOICES, summary, ADVICE, tuple(findings))]


ADVICE = "Train one adapter for each voice: split the file, or write these rows again."


def _standardised(described: list[dict[str, float]]) -> tuple[list[str], NDArray[np.float64]]:
    """Names and (answers, features), of those features that vary at all."""
    import numpy as np

    names = np.array(list(described[0]))
    values = np.array([list(each.values()) for each in described])  # (answers, all features)
    spread = values.std(axis=0)
    varies = spread > 1e-9
    values = (values - values.mean(axis=0))[:, varies] / spread[varies]  # (answers, features)
    return names[varies].tolist(), np.clip(values, -WIDEST, WIDEST)


def _clear_styles(values: NDArray[np.float64]) -> tuple[NDArray[np.bool_], float]:
    """Which answers are of the smaller style, and the silhouette; none where nothing is clear."""
    import numpy as np

    for components, threshold in SEPARATE_ABOVE.items():
        smaller, score = _two_styles(_principal(values, components))
        if score > threshold and smaller.sum() >= SMALLER_RATE * len(values):
            return smaller, score
    return np.zeros(len(values), dtype=bool), 0.0


def _principal(values: NDArray[np.float64], components: int | None) -> NDArray[np.float64]:
    """(answers, components): along the directions of most variance; all features for None."""
    import numpy as np

    if components is None:
        return values
    centred = values - values.mean(axis=0)
    directions = np.linalg.svd(centred, full_matrices=False)[2][:components]
    projected: NDArray[np.float64] = centred @ directions.T  # (answers, components)
    return projected


def _two_styles(values: NDArray[np.float64]) -> tuple[NDArray[np.bool_], float]:
    """Which answers are of the smaller cluster, and the mean silhouette in [-1, 1]."""
    import numpy as np
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    clusters = min(2, len(np.unique(values, axis=0)))
    labels = KMeans(clusters, n_init=10, random_state=SEED).fit(values).labels_
    second = labels == 1
    smaller = second if second.sum() * 2 <= len(labels) else ~second
    if smaller.sum() < 2:
        return smaller, 0.0
    size = min(COMPARED, len(values))
    score = silhouette_score(values, labels, sample_size=size, random_state=SEED)
    return smaller, float(score)


def _differences(names: list[str], values: NDArray[np.float64], smaller: NDArray[np.bool_]) -> str:
    """The features that tell the two apart best, in words."""
    gaps = values[smaller].mean(axis=0) - values[~smaller].mean(axis=0)  # (features,)
    order = sorted(range(len(names)), key=lambda place: -abs(gaps[place]))
    return ", ".join(
        f"{'more' if gaps[place] > 0 else 'fewer'} {names[place]}" for place in order[:NAMED]
    )
