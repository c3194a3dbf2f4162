"""Numbers, durations, periods and yes or no, as people write them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal

from router.amounts import milliseconds

MAX_CHARS = 60
MAX_COUNT = 10**12
MAX_DURATION_MS = 7 * 24 * 3_600_000.0  # a week
DAYS = {
    "minute": 1 / 1440,
    "hour": 1 / 24,
    "day": 1.0,
    "week": 7.0,
    "month": 30.4375,
    "quarter": 91.3125,
}
DAYS |= {"year": 365.25}

_YES = {"yes", "y", "true", "t", "on", "1", "required", "needed"}
_NO = {"no", "n", "false", "f", "off", "0", "not required", "not needed"}
_SCALES = {"": 1, "k": 10**3, "thousand": 10**3, "m": 10**6, "million": 10**6}
_UNITS_MS = {
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1.0),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1_000.0),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60_000.0),
    **dict.fromkeys(("h", "hour", "hours"), 3_600_000.0),
}
_NUMBERS = {"a": 1, "an": 1, "once": 1, "one": 1, "twice": 2, "other": 2, "second": 2, "two": 2}
_NUMBERS |= {"three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9}
_NUMBERS |= {"ten": 10, "eleven": 11, "twelve": 12}
_ADVERBS = {
    "hourly": DAYS["hour"],
    "daily": DAYS["day"],
    "nightly": DAYS["day"],
    "weekly": DAYS["week"],
    "biweekly": 14.0,
    "bi-weekly": 14.0,
    "fortnightly": 14.0,
    "monthly": DAYS["month"],
    "quarterly": DAYS["quarter"],
    "yearly": DAYS["year"],
    "annually": DAYS["year"],
    "annual": DAYS["year"],
    **dict.fromkeys(("constantly", "continuously", "real-time", "real time", "live"), 0.0),
    **dict.fromkeys(("rarely", "seldom"), DAYS["year"]),
    **dict.fromkeys(("never", "static", "stable"), math.inf),
}
_PLAIN = r"\d+(?:\.\d+)?"
_NUMBER = rf"(?:\d{{1,3}}(?:[,_ ]\d{{3}})+(?:\.\d+)?|{_PLAIN})"
_COUNT = re.compile(
    rf"(?:about|around|roughly|approx\.?|~)? ?({_NUMBER}) ?(k|thousand|m|million)?\+?"
    r"(?: ?[a-z][a-z -]*)?(?: ?(?:a|per|/) ?month)?"
)
_DURATION = re.compile(
    rf"(?:(under|below|less than|<(?!=))|at most|up to|within|max\.?|<=|≤)? ?({_NUMBER}) ?([a-z]+)"
)
_UNIT = f"({'|'.join(DAYS)})"
_EVERY = re.compile(rf"(?:once )?(?:every|each) (?:({_PLAIN}|[a-z]+) )?{_UNIT}s?")
_TIMES = re.compile(rf"({_PLAIN}|[a-z]+)(?: times?| ?x)? (?:a|an|per|each|every) {_UNIT}")
_LENGTH = re.compile(rf"({_PLAIN}|(?!once|twice)[a-z]+) {_UNIT}s?")


class ValueFormatError(ValueError):
    """A value that cannot be understood; says what is allowed."""


def yes_or_no(text: str) -> bool:
    """An answer to a question that has two.

    >>> yes_or_no("Yes"), yes_or_no("false")
    (True, False)
    """
    word = tidy(text, "yes or no")
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise ValueFormatError(f"{text!r} is neither yes nor no; write yes or no, true or false")


def count(text: str, *, of: str, smallest: int = 0) -> int:
    """A whole number with or without what is counted; a missing number is not zero.

    >>> count("1,000 examples", of="examples"), count("100k", of="queries")
    (1000, 100000)
    """
    allowed = f"write a whole number such as 200, 1,000 or 5k, alone or as `200 {of}`"
    word = tidy(text, allowed)
    if word in {"none", "zero", f"no {of}", f"zero {of}"}:
        word = "0"
    if re.match(r"\d{1,3}\.000\b", word):
        raise ValueFormatError(f"{text!r} may be a number of units or of thousands; {allowed}")
    found = _COUNT.fullmatch(word)
    if found is None or not _counts(word, of):
        without = not re.search(r"\d", word)
        missing = f"; without a number it is not taken for 0, write `0 {of}`" if without else ""
        raise ValueFormatError(f"{text!r} is no number of {of}; {allowed}{missing}")
    value = Decimal(re.sub(r"[,_ ]", "", found[1])) * _SCALES[found[2] or ""]
    if value != int(value):
        raise ValueFormatError(f"{text!r} is not a whole number of {of}; {allowed}")
    if not smallest <= value <= MAX_COUNT:
        raise ValueFormatError(
            f"{text!r} is out of bounds; between {smallest:,} and {MAX_COUNT:,} {of} are taken"
        )
    return int(value)


def _counts(word: str, of: str) -> bool:
    """Whether the words beside the number are what is counted, and not a unit or a period."""
    known = {of, of.removesuffix("s"), of.replace("queries", "query"), "monthly", "training"}
    known |= {"about", "around", "roughly", "approx", "k", "thousand", "m", "million"}
    known |= {"rows", "samples", "conversations", "pairs", "requests", "questions", "labeled"}
    known |= {"labelled", "high", "quality", "high-quality", "a", "per", "month"}
    return all(part in known for part in re.findall(r"[a-z-]+", word))


@dataclass(frozen=True, slots=True)
class Limit:
    """The longest that something may take; `below` when it must stay under that."""

    time_ms: float
    below: bool = False

    def under(self, bound_ms: float) -> bool:
        """Whether what keeps to this limit is always faster than the bound.

        >>> Limit(100).under(100), Limit(100, below=True).under(100)
        (False, True)
        """
        return self.time_ms < bound_ms or (self.below and self.time_ms == bound_ms)

    @property
    def phrase(self) -> str:
        """As a noun.

        >>> Limit(50).phrase, Limit(100, below=True).phrase, Limit(math.inf).phrase
        ('limit of 50 ms', 'limit under 100 ms', 'no limit')
        """
        if math.isinf(self.time_ms):
            return str(self)
        return f"limit {self}" if self.below else f"limit of {self}"

    def __str__(self) -> str:
        return f"{'under ' if self.below else ''}{milliseconds(self.time_ms)}"


def limit(text: str) -> Limit:
    """A time with its unit; `none` is no limit.

    >>> [str(limit(text)) for text in ("2s", "50ms", "1.5 s", "under 100 ms", "none")]
    ['2 s', '50 ms', '1.5 s', 'under 100 ms', 'no limit']
    """
    allowed = "write a number and its unit, such as 50ms, 1.5 s or 2 min, or `none`"
    word = tidy(text, allowed)
    if word in {"none", "no limit", "unlimited"}:
        return Limit(math.inf)
    found = _DURATION.fullmatch(word)
    if found is None or found[3] not in _UNITS_MS:
        bare = re.fullmatch(_NUMBER, word) is not None
        problem = "has no unit" if bare else "is no time"
        raise ValueFormatError(f"{text!r} {problem}; {allowed}")
    value = float(re.sub(r"[,_ ]", "", found[2])) * _UNITS_MS[found[3]]
    if not 0 < value <= MAX_DURATION_MS:
        raise ValueFormatError(f"{text!r} is out of bounds: above 0 and up to a week; {allowed}")
    return Limit(value, below=bool(found[1]))


def period_days(text: str) -> float:
    """How long something stays as it is, in days; `never` is for ever.

    >>> period_days("weekly"), period_days("every two weeks"), period_days("twice a day")
    (7.0, 14.0, 0.5)
    """
    allowed = (
        "write daily, weekly, monthly, quarterly, yearly, never, "
        "or a period such as `every two weeks` or `twice a month`"
    )
    word = tidy(text, allowed)
    if word in {"bimonthly", "bi-monthly"}:
        raise ValueFormatError(f"{text!r} may be twice a month or every two months; {allowed}")
    if word in _ADVERBS:
        return _ADVERBS[word]
    if found := _EVERY.fullmatch(word) or _LENGTH.fullmatch(word):
        number = _number(found[1] or "a")
        days = number * DAYS[found[2]] if number else None
    elif found := _TIMES.fullmatch(word):
        number = _number(found[1])
        days = DAYS[found[2]] / number if number else None
    else:
        days = None
    if days is None or not math.isfinite(days):
        raise ValueFormatError(f"{text!r} is no period; {allowed}")
    return days


def as_frequency(words: str) -> str:
    """A period in words before which "changes" can stand, also where its length alone was said.

    >>> as_frequency("two weeks"), as_frequency("a day"), as_frequency("weekly")
    ('every two weeks', 'every day', 'weekly')
    """
    if not _LENGTH.fullmatch(words):
        return words
    number, _, unit = words.partition(" ")
    return f"every {unit}" if number in {"a", "an"} else f"every {words}"


def _number(word: str) -> float | None:
    """None for what is no number, and for 0."""
    if word in _NUMBERS:
        return float(_NUMBERS[word])
    return (float(word) or None) if re.fullmatch(_PLAIN, word) else None


def tidy(text: str, allowed: str) -> str:
    """In small letters, with single spaces; refused when empty or too long to be an answer."""
    word = " ".join(text.lower().split()).rstrip(".")
    if not word:
        raise ValueFormatError(f"nothing is said; {allowed}")
    if len(word) > MAX_CHARS:
        raise ValueFormatError(f"{len(word)} characters are too many; {allowed}")
    return word
