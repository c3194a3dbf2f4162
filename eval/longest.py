"""Bisection for the longest text that still trains, near to what is predicted first."""

from __future__ import annotations

from collections.abc import Callable

UNIT_TOKENS = 64
NEAR_ENOUGH = 64  # stop within 1/64 of the result: a try takes a minute


def longest_that(trains: Callable[[int], bool], *, predicted: int, context: int) -> int:
    """A multiple of 64 tokens within `context`; 0 when even the shortest does not train.

    >>> longest_that(lambda tokens: tokens <= 700, predicted=512, context=2048)
    640
    """
    low, high = 0, context // UNIT_TOKENS
    guess = min(max(predicted // UNIT_TOKENS, 1), high)
    while low < high:
        if trains(guess * UNIT_TOKENS):
            low = guess
        else:
            high = guess - 1
        if low and (high - low) * NEAR_ENOUGH < low:
            break
        # Half of what is left, but never more than a quarter above what trains.
        guess = min((low + high + 1) // 2, low + max(1, low // 4) if low else high)
    return low * UNIT_TOKENS
