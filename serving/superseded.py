"""Values that a passage says no longer hold: `€88 instead of €65`, a column `Until 31 August`.

An answer that states such a value is out of date however well the older document supports it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from serving.facts import SourceUnit, facts, words_of
from serving.quantities import Quantity

# What stands before a value that was replaced, within the same clause.
_OLD_BEFORE = re.compile(
    r"\b(?:instead of|in place of|rather than|until now|up to now|so far|used to|former(?:ly)?"
    r"|previous(?:ly)?|it was|they were|the old|old [a-z]+ (?:was|were|is)|replac(?:es|ing)"
    r"|no longer|not the usual|the usual|(?:up|down|rises?|grows?|goes up|falls?|drops?|increas\w+"
    r"|rais\w+|lift\w*|lower\w*|chang\w+|extend\w*|reduc\w+)\b[\w\s-]{0,25}? from)\b[^.;]{0,40}$",
    re.IGNORECASE,
)
_HOLDS_STILL = re.compile(r"\W*(?:remains?|stays?|still|times)\b", re.IGNORECASE)
_OLD_COLUMN = re.compile(
    r"^(?:old|until|before|previous|former|usual|up to|so far)\b", re.IGNORECASE
)
_NEW_COLUMN = re.compile(r"^(?:new|from|now|since|after|during|as of|current)\b", re.IGNORECASE)
_TELLS_CHANGE = re.compile(
    r"\b(?:instead of|in place of|rather than|until|up to|before|previous|former|used to|was|were"
    r"|from|old|no longer|now)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d[\d.,]*")
_SHARED = 2  # content words that the claim and the text around the old value have in common


def outdated(claim: str, units: Sequence[SourceUnit]) -> list[str]:
    """The values of the claim that a unit replaces by another, unless the claim says so too.

    `units` are those of every passage in the prompt: what replaces a value need not be cited.
    """
    stated = facts(claim).quantities
    found = []
    subject: frozenset[int] = frozenset()
    for unit in units if stated else ():
        earlier, subject = subject, unit.words
        for old, new in replaced(unit):
            same = [each for each in stated if (each.value, each.unit) == (old.value, old.unit)]
            if not same or not _same_subject(claim, old, unit, earlier):
                continue
            tells = _TELLS_CHANGE.search(claim) and any(
                (each.value, each.unit) == (other.value, other.unit)
                for each in stated
                for other in new
            )
            if not tells:
                found += [claim[each.start : each.end] for each in same]
    return list(dict.fromkeys(found))


@lru_cache(maxsize=4_000)
def replaced(unit: SourceUnit) -> tuple[tuple[Quantity, list[Quantity]], ...]:
    """Each value that the unit says is replaced, and those that it states as holding."""
    if unit.is_row:
        return tuple(_replaced_in_row(unit))
    every = facts(unit.text).quantities
    old = [
        each
        for each in every
        if _OLD_BEFORE.search(_before(unit.text, each))
        and not _HOLDS_STILL.match(unit.text, each.end)
    ]
    new = [each for each in every if each not in old]
    return tuple((each, new) for each in old)  # a new value may stand in the sentence before


def _before(text: str, each: Quantity) -> str:
    """What stands before the value in its sentence, from the value before it on."""
    earlier = [other.end for other in facts(text).quantities if other.end <= each.start]
    return text[max(earlier, default=0) : each.start]


def _replaced_in_row(unit: SourceUnit) -> Iterator[tuple[Quantity, list[Quantity]]]:
    cells = [cell.partition(": ") for cell in unit.text.split(" · ")]
    old = [value for name, _, value in cells if _OLD_COLUMN.match(name)]
    new = [value for name, _, value in cells if _NEW_COLUMN.match(name)]
    if not old or not new:
        return
    now = [each for value in new for each in facts(value).quantities]
    same = {(each.value, each.unit) for each in now}
    for value in old:
        for each in facts(value).quantities:
            if (each.value, each.unit) not in same:
                yield each, now


def _same_subject(claim: str, old: Quantity, unit: SourceUnit, earlier: frozenset[int]) -> bool:
    """Whether they share words besides the value; a unit's subject may stand in the one before."""
    value = words_of(unit.text[old.start : old.end]) if not unit.is_row else frozenset()
    words = words_of(_NUMBER.sub(" ", claim)) - value
    shared = words & (unit.words | earlier)
    return len(shared) >= max(_SHARED, 0.5 * min(len(words), len(unit.words))) or len(
        shared
    ) == len(words)
