"""Distribution-based score fusion (DBSF): several lists of scores -> one.

Each list is moved and stretched so that its mean becomes .5 and three standard deviations to either
side reach 0 and 1; then an item's scores are added. It is what Qdrant calls `Fusion.Dbsf`, for
lists that are at hand already: inside the engine every list would be searched for once more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

Item = TypeVar("Item")
MIDDLE = 0.5  # of a list whose scores are all the same


def fuse(lists: Sequence[Mapping[Item, float]]) -> dict[Item, float]:
    """What stands in no list adds nothing to an item's score."""
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
