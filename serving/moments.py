"""Dates and clock times of a text, written one way: 5 May = 05-05, 5:30 pm = 17:30."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_MONTH = (
    r"(?P<month>January|February|March|April|May|June|July|August|September|October|November"
    r"|December|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b\.?"
)
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>(?:19|20)\d{2})"
_DATES = tuple(
    re.compile(pattern)
    for pattern in (
        r"\b(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})\b",
        rf"\b{_DAY}(?: of)? {_MONTH}(?:,? {_YEAR}\b)?",
        rf"\b{_MONTH} {_DAY}\b(?!:)(?:,? {_YEAR}\b)?",
        rf"\b{_MONTH},? {_YEAR}\b",
        r"\b(?P<day>\d{1,2})[./](?P<month>\d{1,2})[./](?P<year>\d{4})\b",
        # A month alone; `May` and `March` only behind what makes them no verbs.
        rf"(?:(?<=\bin )|(?<=\buntil )|(?<=\bfrom )|(?<=\bto )|(?<=\bsince )|(?<=\bby )"
        rf"|(?<=\bof )|(?<=\bof early )|(?<=\bof late )|(?<=\band ))(?:(?:early|mid"
        rf"|late)[ -])?{_MONTH}",
        r"\b(?P<month>January|February|April|June|July|August|September|October|November"
        r"|December)\b",
        rf"\b{_YEAR}\b",
    )
)
_FIRST_DAYS = re.compile(
    rf"\b(?P<first>\d{{1,2}})(?:st|nd|rd|th)?\s?(?:-|–|to|and|or)\s?{_DAY} {_MONTH}"
)
_CLOCK = re.compile(
    r"\b(?P<hour>\d{1,2})(?:[:.](?P<minute>\d{2}))?\s?(?P<half>[ap])\.?\s?m\b\.?"
    r"|\b(?P<hour24>[01]?\d|2[0-4]):(?P<minute24>[0-5]\d)\b"
    r"|\b(?P<oclock>\d{1,2}) o['’]clock\b|\b(?P<word>noon|midnight)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Date:
    """A day, a month or a year; what is not said is None."""

    day: int | None
    month: int | None
    year: int | None


def take_dates(text: str) -> tuple[list[Date], str]:
    """The dates, and the text with blanks in their places.

    >>> take_dates("from 1 to 5 October 2026")[0]
    [Date(day=1, month=10, year=2026), Date(day=5, month=10, year=2026)]
    """
    dates: list[Date] = []
    for match in _FIRST_DAYS.finditer(text):  # the second day is found with its month below
        year = re.match(rf",? {_YEAR}", text[match.end() :])
        dates.append(
            Date(int(match["first"]), _month(match["month"]), int(year["year"]) if year else None)
        )
    for match in _FIRST_DAYS.finditer(text):
        start, end = match.span("first")
        text = f"{text[:start]}{' ' * (end - start)}{text[end:]}"
    for pattern in _DATES:
        for found in pattern.finditer(text):
            part: dict[str, str | None] = found.groupdict()
            day, said = part.get("day"), part.get("year")
            name = part.get("month")
            month = _month(name) if name else None
            if (day and int(day) > 31) or month == 0:
                continue
            dates.append(Date(int(day) if day else None, month, int(said) if said else None))
            text = f"{text[: found.start()]}{' ' * len(found[0])}{text[found.end() :]}"
    return dates, text


def _month(name: str) -> int:
    """1 to 12; 0 for a number that is no month."""
    if name.isdigit():
        return int(name) if 1 <= int(name) <= 12 else 0
    return next(n for n, month in enumerate(_MONTHS, start=1) if month.startswith(name.lower()[:3]))


def take_times(text: str) -> tuple[list[int], str]:
    """Clock times as minutes since midnight, and the text with blanks in their places.

    >>> take_times("from 5:30 pm or 05:00 until noon")[0]
    [1050, 300, 720]
    """
    times = [_minutes(match) for match in _CLOCK.finditer(text)]
    return times, _CLOCK.sub(lambda match: " " * len(match[0]), text)


def _minutes(match: re.Match[str]) -> int:
    if match["word"]:
        return 720 if match["word"].lower() == "noon" else 1440
    if match["oclock"]:
        return int(match["oclock"]) * 60
    if match["hour24"]:
        minutes = int(match["hour24"]) * 60 + int(match["minute24"])
        return minutes or 1440
    hour = int(match["hour"]) % 12 + (12 if match["half"].lower() == "p" else 0)
    return (hour * 60 + int(match["minute"] or 0)) or 1440


def is_given(date: Date, given: Sequence[Date]) -> bool:
    """Whether one of the given dates says all of this one.

    A year may be missing beside the day, if it then stands elsewhere or nowhere.
    """
    years = {other.year for other in given if other.year is not None}
    for other in given:
        same_day = date.day in {None, other.day} and date.month in {None, other.month}
        if not same_day:
            continue
        if date.year is None or date.year == other.year:
            return True
        if date.month is not None and other.year is None and (not years or date.year in years):
            return True
    return False
