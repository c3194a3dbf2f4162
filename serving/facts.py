"""What a sentence states exactly, and whether its sources state the same.

Links, phone numbers, codes, dates, clock times and quantities are read by rules; each must stand in
a source, the quantities with their unit, bound and side, and beside the words that the sentence
puts them beside: the price of one table cell is not the price of its neighbour.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from retrieval import words as engine
from retrieval.documents import ScoredPassage
from serving.moments import Date, is_given, take_dates, take_times
from serving.names import take_addresses, take_codes
from serving.quantities import Quantity, bare_sums, mentions_unit, quantities
from serving.sentences import units

_CLAUSE = re.compile(
    r"[;,:](?=\s)|\s[–—·]\s|[()]|\b(?:and|but|while|whereas|or|instead of"
    r"|in place of|rather than)\b"
)
_SINGLE = r"\b(?:one|an?|single|per|each|every|1)\s(?:[\w-]+\s){0,2}"
_REMEMBERED = 2_000  # texts whose facts are kept: a passage is looked at for each sentence


@lru_cache(maxsize=20 * _REMEMBERED)
def words_of(text: str) -> frozenset[int]:
    """`content_words`, remembered: the same passages are read for every sentence."""
    return engine.content_words(text)


@dataclass(frozen=True, slots=True)
class Facts:
    """The checkable part of a text; `rest` has blanks in its place."""

    text: str
    rest: str
    addresses: tuple[str, ...]
    codes: tuple[str, ...]
    dates: tuple[Date, ...]
    times: tuple[int, ...]
    quantities: tuple[Quantity, ...]

    @property
    def any(self) -> bool:
        """Whether there is anything to look up."""
        return bool(self.addresses or self.codes or self.dates or self.times or self.quantities)


@lru_cache(maxsize=_REMEMBERED)
def facts(text: str) -> Facts:
    """Read a text; what one kind has claimed is no other's."""
    addresses, rest = take_addresses(text)
    codes, rest = take_codes(rest)
    times, rest = take_times(rest)
    dates, rest = take_dates(rest)
    found = quantities(rest)
    for each in found:
        rest = f"{rest[: each.start]}{' ' * (each.end - each.start)}{rest[each.end :]}"
    return Facts(
        text, rest, tuple(addresses), tuple(codes), tuple(dates), tuple(times), tuple(found)
    )


@dataclass(frozen=True, slots=True)
class SourceUnit:
    """A sentence, list item or table row of a cited passage, and the headings above it."""

    text: str
    context: str
    is_row: bool = False
    opens: bool = False  # heading, announcing line, or among the passage's first sentences

    @property
    def words(self) -> frozenset[int]:
        """Content words of the unit and of what it stands under."""
        return words_of(f"{self.context} {self.text}")


@lru_cache(maxsize=_REMEMBERED)
def _units_of(text: str, context: str, table_header: str) -> tuple[SourceUnit, ...]:
    found = []
    for place, unit in enumerate(units(text, table_header=table_header)):
        is_row = text[unit.start : unit.end].startswith("|")
        found.append(SourceUnit(unit.text, context, is_row, opens=place < 2 and not is_row))
    for line in text.split("\n"):  # headings, and what announces a list
        if line.startswith("#") or line.rstrip().endswith(":"):
            found.append(SourceUnit(line.strip("#*_ \t"), context, opens=True))
    return (*found, SourceUnit(context, context, opens=True))


def source_units(passages: Sequence[ScoredPassage]) -> tuple[SourceUnit, ...]:
    """All that can bear out a sentence, in the order of the passages."""
    return tuple(
        unit
        for hit in passages
        for unit in _units_of(hit.passage.text, hit.passage.context, hit.passage.table_header)
    )


def missing_facts(claim: str, sources: Sequence[SourceUnit]) -> list[str]:
    """What the claim states and no source does, in words for the log; empty if all is there."""
    stated = facts(claim)
    numberless = _numberless(stated, sources)
    if not stated.any:
        return numberless
    whole = "\n".join(
        dict.fromkeys([*(unit.context for unit in sources), *(u.text for u in sources)])
    )
    given = facts(whole)
    missing = numberless
    missing += [each for each in stated.addresses if not _contained(each, given.addresses)]
    missing += [code for code in stated.codes if code not in given.codes]
    missing += [str(date) for date in stated.dates if not is_given(date, given.dates)]
    missing += [f"{time // 60}:{time % 60:02}" for time in stated.times if time not in given.times]
    missing += [
        claim[each.start : each.end]
        for each in stated.quantities
        if not _stated(claim, each, sources)
    ]
    return missing


def _numberless(stated: Facts, sources: Sequence[SourceUnit]) -> list[str]:
    """Units of sums whose number is missing, where no sentence of the sources leaves it out too."""
    if any(each.unit == "" for each in stated.quantities):
        return []  # `the fee in euros is 60`
    bare = bare_sums(stated.rest) - {each.unit for each in stated.quantities}
    for unit in sources:
        if bare and not unit.is_row:
            rest = facts(unit.text).rest
            bare -= bare_sums(rest) | {each for each in bare if mentions_unit(rest, each)}
    return [f"a number of {unit}" for unit in sorted(bare)]


def _contained(address: str, given: Sequence[str]) -> bool:
    return any(address == other or other.startswith(f"{address}/") for other in given)


def _stated(claim: str, wanted: Quantity, sources: Sequence[SourceUnit]) -> bool:
    """Whether a source has the quantity, in the place that the claim gives it."""
    clause = _clause(claim, wanted)
    holding = [(unit, each) for unit in sources for each in _equal(claim, wanted, unit)]
    if wanted.bound and all(each.bound for _, each in holding):
        holding = [(unit, each) for unit, each in holding if each.bound is wanted.bound]
    if wanted.side and all(each.side for _, each in holding):
        holding = [(unit, each) for unit, each in holding if each.side is wanted.side]
    return any(not _misplaced(clause, claim, unit, each, sources) for unit, each in holding)


def _equal(claim: str, wanted: Quantity, unit: SourceUnit) -> Iterator[Quantity]:
    noun = _noun(claim, wanted)
    for each in facts(unit.text).quantities:
        if each.value != wanted.value:
            continue
        if each.unit == wanted.unit:
            if wanted.unit or noun is None or words_of(noun) <= unit.words:
                yield each
        elif not wanted.unit and _stands_alone(claim, wanted):
            yield each
        elif (
            not each.unit
            and wanted.unit
            and mentions_unit(f"{unit.context}\n{unit.text}", wanted.unit)
        ):
            yield each  # a bare number under a heading that names the unit
    if wanted.value == 1 and not wanted.unit and noun:
        found = re.search(_SINGLE + re.escape(noun), unit.text, re.IGNORECASE)
        if found:
            yield Quantity(1.0, "", found.start(), found.end())


def _stands_alone(text: str, number: Quantity) -> bool:
    """Whether nothing says what is counted: `Sixty.`, or a cell of a table."""
    return re.match(r"\s*(?:[^\w\s%€$£°]|$)", text[number.end :]) is not None


def _noun(text: str, number: Quantity) -> str | None:
    """The word that a bare number counts, if one follows at once."""
    if number.unit:
        return None
    found = re.match(r"[\s-]([a-z]{3,})\b", text[number.end :])
    return found[1] if found and words_of(found[1]) else None


def _misplaced(
    clause: str, claim: str, unit: SourceUnit, found: Quantity, sources: Sequence[SourceUnit]
) -> bool:
    """Whether the claim names the cell, row or clause of another value than this one."""
    if unit.is_row:
        return _wrong_cell(clause, claim, unit, found) or _wrong_row(clause, claim, unit, sources)
    own = words_of(_clause(unit.text, found))
    for other in facts(unit.text).quantities:
        if other.unit == found.unit and other.value != found.value:
            beside = words_of(_clause(unit.text, other))
            if _names_other(clause, claim, own - beside, beside - own):
                return True
    return False


def _names_other(clause: str, claim: str, own: frozenset[int], other: frozenset[int]) -> bool:
    """Whether the clause, or else the claim, has more of what distinguishes the other."""
    for text in (clause, claim):
        words = words_of(text)
        if words & (own | other):
            return len(words & other) > len(words & own)
    return False


def _wrong_cell(clause: str, claim: str, unit: SourceUnit, found: Quantity) -> bool:
    own, others, at = "", [], 0
    for cell in unit.text.split(" · "):
        if at <= found.start < at + len(cell):
            own = cell
        elif any(each.unit == found.unit for each in facts(cell).quantities):
            others.append(cell)
        at += len(cell) + 3
    mine = words_of(own.rpartition(": ")[0])
    for cell in others:
        theirs = words_of(cell.rpartition(": ")[0])
        if _names_other(clause, claim, mine - theirs, theirs - mine):
            return True
    return False


def _wrong_row(clause: str, claim: str, unit: SourceUnit, sources: Sequence[SourceUnit]) -> bool:
    """Whether the claim has more of another row's label than of this row's."""
    mine = words_of(_label(unit))
    for other in sources:
        if other.is_row and other.context == unit.context and other.text != unit.text:
            theirs = words_of(_label(other))
            if mine != theirs and _names_other(clause, claim, mine - theirs, theirs - mine):
                return True
    return False


def _label(row: SourceUnit) -> str:
    return row.text.split(" · ")[0].rpartition(": ")[2]


def _clause(text: str, number: Quantity) -> str:
    """The words around a number, up to the next comma, `and` or the like on either side."""
    cuts = [0, *(m.end() for m in _CLAUSE.finditer(text)), len(text)]
    starts = [m.start() for m in _CLAUSE.finditer(text)]
    start = max(cut for cut in cuts if cut <= number.start)
    end = min([cut for cut in starts if cut >= number.end], default=len(text))
    return text[start:end]
