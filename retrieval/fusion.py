"""Distribution-based score fusion (DBSF): several lists of scores -> one.

It is what Qdrant calls `Fusion.Dbsf` (proposed by M. Mazzeschi, 2023), for lists that are at hand
already: inside the engine every list would be searched for once more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

Item = TypeVar("Item")
MIDDLE = 0.5  # of a list whose scores are all the same


def fuse(lists: Sequence[Mapping[Item, float]]) -> dict[Item, float]:
    """score(item) = sum of .5 + (s - mean) / (6 * deviation) over the lists that hold it with s.

    The mean and the deviation, a sample's (n - 1), are those of the list.

    >>> fuse([{"a": 7.0}, {"a": 2.0, "b": 2.0}])
    {'a': 1.0, 'b': 0.5}
    """
    total: dict[Item, float] = {}
    for scores in lists:
        for item, score in _normalised(scores).items():
            total[item] = total.get(item, 0.0) + score
    return total


def _normalised(scores: Mapping[Item, float]) -> Mapping[Item, float]:
    count = len(scores)
    mean = math.fsum(scores.values()) / max(1, count)
    squares = math.fsum((score - mean) ** 2 for score in scores.values())
    deviation = math.sqrt(squares / max(1, count - 1))  # of a sample
    if not deviation:
        return dict.fromkeys(scores, MIDDLE)
    low = mean - 3 * deviation
    return {item: (score - low) / (6 * deviation) for item, score in scores.items()}
