"""Numbers with their units, as a text states them, written one way: 1,000 = 1000, €65 = 65 euros.

A quantity has a value, a unit, a bound (`at least`, `at most`) and a side (`before`, `after`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from serving.number_words import WORD_NUMBER, word_value


class Bound(StrEnum):
    """Which way a limit holds."""

    LEAST = "at least"
    MOST = "at most"


class Side(StrEnum):
    """On which side of an event a time lies."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Quantity:
    """`text[start:end]` states `value` in `unit`, which is empty for a bare number."""

    value: float
    unit: str
    start: int
    end: int
    bound: Bound | None = None
    side: Side | None = None


_CURRENCIES = {"€": "euro", "$": "dollar", "£": "pound", "¥": "yen", "₹": "rupee"}
_CODES = {"EUR": "euro", "USD": "dollar", "GBP": "pound", "CHF": "franc", "JPY": "yen"}
# Spelling -> (unit, factor). Minutes count hours, days count weeks: 24 hours is not one day.
_UNITS: dict[str, tuple[str, float]] = {
    spelling: (unit, factor)
    for unit, factor, spellings in (
        ("euro", 1, "€ eur euro euros"),
        ("dollar", 1, "$ usd dollar dollars"),
        ("pound", 1, "£ gbp pound pounds"),
        ("franc", 1, "chf franc francs"),
        ("yen", 1, "¥ jpy yen"),
        ("rupee", 1, "₹ rupee rupees"),
        ("cent", 1, "cent cents pence"),
        ("percent", 1, "% percent pct"),
        ("minute", 1, "minute minutes min mins"),
        ("minute", 60, "hour hours hr hrs h"),
        ("second", 1, "seconds sec secs"),
        ("day", 1, "day days"),
        ("day", 7, "week weeks"),
        ("day", 14, "fortnight fortnights"),
        ("month", 1, "month months"),
        ("month", 12, "year years"),
        ("night", 1, "night nights"),
        ("kg", 1, "kg kgs kilo kilos kilogram kilograms kilogramme kilogrammes"),
        ("g", 1, "g gram grams"),
        ("lb", 1, "lb lbs"),
        ("cm", 1, "cm centimetre centimetres centimeter centimeters"),
        ("mm", 1, "mm millimetre millimetres"),
        ("m", 1, "m metre metres meter meters"),
        ("km", 1, "km kilometre kilometres kilometer kilometers"),
        ("mile", 1, "mile miles"),
        ("ml", 1, "ml millilitre millilitres"),
        ("l", 1, "l litre litres liter liters"),
        ("inch", 1, "inch inches"),
        ("degree", 1, "°c °f ° degrees degree"),
        ("watt", 1, "w watt watts"),
        ("wh", 1, "wh watt-hours"),
        ("gb", 1, "gb gib"),
        ("mb", 1, "mb mib"),
        ("point", 1, "point points"),
    )
    for spelling in spellings.split()
}
_SUMS = frozenset(["euro", "dollar", "pound", "franc", "yen", "rupee", "percent", "kg"])
_DIGITS = r"\d{1,3}(?:[,'’.  \u202f\u00a0]\d{3})+(?:[.,]\d{1,2})?(?!\d)|\d+(?:[.,]\d+)?"
_SCALE = {"k": 1e3, "thousand": 1e3, "million": 1e6, "billion": 1e9, "bn": 1e9}
_NUMBER = re.compile(
    rf"(?:(?P<code>{'|'.join(_CODES)})\s?|(?:[A-Z]{{2}})?(?P<sign>[€$£¥₹])\s?)?"
    rf"(?<![\d.,])(?P<digits>{_DIGITS})(?!\d)(?:(?P<ordinal>st|nd|rd|th)\b)?"
    r"(?:(?P<scale>k|\s?(?:thousand|million|billion|bn))\b)?"
)
_UNIT = re.compile(
    r"[\s-]{0,2}(?P<working>(?:working|business|calendar|consecutive)[\s-])?"
    r"(?P<unit>per\s?cent\b|percentage points?\b|°\s?[CF]?|[€$£¥₹%]|[A-Za-z]+(?:-hours)?)"
)
_JOINED = re.compile(r"\s*(?:-|–|to|or|and|x|×|by)\s*", re.IGNORECASE)
_ARTICLE = re.compile(
    r"\b(an?|half an)\s(hour|minute|day|week|fortnight|month|year|night)\b(?! and a half)",
    re.IGNORECASE,
)
_MORE = r"(?:more|longer|later|earlier|older|heavier|larger|higher|greater|over|above)"
_LESS = r"(?:less|fewer|shorter|younger|lighter|smaller|lower|under|below)"
_BEFORE_NUMBER = re.compile(
    rf"(?:(?P<most>(?:no|not|never|n['’]t)(?: be| weigh| last)? {_MORE}(?: than)?"
    r"|(?:not|n['’]t|never) exceed)"
    rf"|(?P<least>(?:no|not|never)(?: be)? {_LESS}(?: than)?)"
    r"|(?P<most2>at most|up to|maximum(?: of)?|max\.?|within|less than|fewer than|under|below"
    r"|shorter than|younger than|lighter than|limit(?:ed)?(?: of| to| is| was)?)"
    r"|(?P<least2>at least|minimum(?: of)?|min\.?|more than|over|above|longer than|older than"
    r"|heavier than|exceed(?:s|ing)?))"
    r"[:\s]*(?:of |about |the |an? |us)*$",
    re.IGNORECASE,
)
_AFTER_NUMBER = re.compile(
    rf"^[\s\w]{{0,12}}?\b(?:(?P<least>or {_MORE}|and (?:above|over|more)|minimum|at least)"
    rf"|(?P<most>or {_LESS}|maximum|at most))\b",
    re.IGNORECASE,
)
_SIDE = re.compile(
    r"^\W*(?:\w+\W+)?(?:(?P<before>before|prior|ahead|in advance|earlier)"
    r"|(?P<after>after|following|later|of landing|of arrival))\b",
    re.IGNORECASE,
)
_NO_NOUNS = frozenset(
    [
        "of",
        "is",
        "was",
        "are",
        "may",
        "can",
        "must",
        "should",
        "might",
        "could",
        "would",
        "will",
        "has",
        "have",
        "does",
        "to",
        "in",
        "on",
        "at",
        "by",
        "for",
        "from",
        "with",
        "that",
        "which",
        "who",
        "and",
        "or",
        "but",
        "by",
        "never",
        "always",
    ]
)
_TIMES = {"minute", "day", "month", "night", "second", "working day"}


def quantities(text: str) -> list[Quantity]:
    """Every number of a text in order; codes, dates and clock times are to be blanked out before.

    >>> [(each.value, each.unit) for each in quantities("Up to 1,000 euros within 2 weeks")]
    [(1000.0, 'euro'), (14.0, 'day')]
    """
    found = sorted([*_digits(text), *_words(text), *_articles(text)], key=lambda each: each.start)
    found = [
        each
        for place, each in enumerate(found)
        if not any(each.start < earlier.end for earlier in found[:place])
    ]
    return [_placed(text, each) for each in _ranges(text, found)]


def _digits(text: str) -> Iterator[Quantity]:
    for match in _NUMBER.finditer(text):
        value = _value(match["digits"])
        value *= _SCALE.get((match["scale"] or "").strip(), 1)
        if match["ordinal"]:
            yield Quantity(value, "ordinal", match.start(), match.end())
        elif match["sign"] or match["code"]:
            unit = _CURRENCIES[match["sign"]] if match["sign"] else _CODES[match["code"]]
            yield Quantity(value, unit, match.start(), match.end())
        else:
            yield _with_unit(text, value, match.start(), match.end())


def _value(digits: str) -> float:
    """`1.000` and `1,000` are a thousand, `1,5` and `1.5` one and a half."""
    whole, _, rest = digits.rpartition(",") if "," in digits else digits.rpartition(".")
    if whole and len(rest) != 3:
        return float(re.sub(r"\D", "", whole) + "." + rest)
    if whole and whole in {"0", "00"}:
        return float(f"0.{rest}")
    return float(re.sub(r"\D", "", digits))


def _words(text: str) -> Iterator[Quantity]:
    for match in WORD_NUMBER.finditer(text):
        quantity = _with_unit(text, float(word_value(match[0])), match.start(), match.end())
        if quantity.unit or match[0].lower() != "one" or _counts(text, match):
            yield quantity


def _counts(text: str, one: re.Match[str]) -> bool:
    """`one bag`; not `this one`, `one of them`, `one may`."""
    follows = re.match(r" ([a-z]+)", text[one.end() :])
    points = re.search(
        r"\b(?:this|that|the|no|any|every|each|which|another) $", text[: one.start()]
    )
    return follows is not None and points is None and follows[1] not in _NO_NOUNS


def _articles(text: str) -> Iterator[Quantity]:
    """`an hour`, `half an hour`; only what is a limit by its neighbours is worth comparing."""
    for match in _ARTICLE.finditer(text):
        unit, factor = _UNITS[match[2].lower()]
        share = 0.5 if match[1].lower().startswith("half") else 1.0
        if share < 1 or re.search(
            r"\b(?:within|in|than|up to|least|most) $", text[: match.start()]
        ):
            yield Quantity(share * factor, unit, match.start(), match.end())


def _with_unit(text: str, value: float, start: int, end: int) -> Quantity:
    match = _UNIT.match(text, end)
    if match is None:
        return Quantity(value, "", start, end)
    spelling = re.sub(r"\s", "", match["unit"]).lower().removesuffix("agepoints")
    if spelling not in _UNITS:
        return Quantity(value, "", start, end)
    unit, factor = _UNITS[spelling]
    if match["working"] and match["working"][0].lower() in "wb" and unit == "day":
        unit = "working day"
    return Quantity(value * factor, unit, start, match.end())


def _ranges(text: str, found: list[Quantity]) -> list[Quantity]:
    """In `5 to 7 days`, `46 x 30 cm` and `€20–30` each number has the unit."""
    found = list(found)
    for place in reversed(range(len(found) - 1)):
        left, right = found[place], found[place + 1]
        if right.unit and not left.unit and _JOINED.fullmatch(text, left.end, right.start):
            factor = _factor_of(text[right.start : right.end])
            found[place] = replace(left, unit=right.unit, value=left.value * factor)
    for place in range(1, len(found)):
        left, right = found[place - 1], found[place]
        if left.unit and not right.unit and _JOINED.fullmatch(text, left.end, right.start):
            found[place] = replace(right, unit=left.unit)
    return found


def _factor_of(text: str) -> float:
    last = re.findall(r"[^\W\d]+|[%€$£°]", text)
    return _UNITS.get(last[-1].lower(), ("", 1.0))[1] if last else 1.0


def _placed(text: str, each: Quantity) -> Quantity:
    """With the bound and the side that its neighbours give it."""
    bound: Bound | None = None
    before = _BEFORE_NUMBER.search(text[max(0, each.start - 40) : each.start])
    after = _AFTER_NUMBER.match(text[each.end : each.end + 30])
    side = _SIDE.match(text[each.end : each.end + 30]) if each.unit in _TIMES else None
    if before:
        bound = Bound.LEAST if before["least"] or before["least2"] else Bound.MOST
    elif after:
        bound = Bound.LEAST if after["least"] else Bound.MOST
    where = (Side.BEFORE if side["before"] else Side.AFTER) if side else None
    # `no later than 3 days before` asks for at least three days.
    if where is Side.BEFORE and before and re.match(r"no\w* later|at the latest", before[0], re.I):
        bound = Bound.LEAST
    return replace(each, bound=bound, side=where)


def mentions_unit(text: str, unit: str) -> bool:
    """Whether the unit stands anywhere, as a table's header has it for the bare numbers below."""
    words = set(re.findall(r"[€$£¥₹%°]|[a-z]+", text.lower()))
    return any(_UNITS.get(word, ("", 1.0))[0] == unit for word in words)


def bare_sums(text: str) -> frozenset[str]:
    """Currencies, per cent and kilograms that a text names beside its numbers, by unit.

    In the singular they are nouns like any other (`the euro fell`, `a pound of flour`).

    >>> bare_sums("The second suitcase is, euros.")
    frozenset({'euro'})
    """
    words = re.findall(r"[€$£¥₹%]|per cent|[^\W\d_]+", text.lower())
    plural = [word for word in words if len(word) < 4 or word.endswith("s") or "cent" in word]
    units = {_UNITS.get(word.replace(" ", ""), ("", 1.0))[0] for word in plural}
    return frozenset(units & _SUMS)
