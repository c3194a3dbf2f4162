"""What kind of value a question asks for, and which kinds a text states: "how much" wants money.

A unit that states such a value is quoted before one that only speaks of the subject. The patterns
are English; a question in which they see no kind is treated as before.
"""

from __future__ import annotations

import re
from enum import StrEnum


class ValueKind(StrEnum):
    """What a value measures."""

    MONEY = "money"  # amounts, percentages, and that something is free
    MOMENT = "moment"  # a time of day, a date, a period
    WEIGHT = "weight"
    SIZE = "size"  # lengths, volumes, electrical energy and power
    COUNT = "count"


_NUMBER = (
    r"(?:\d[\d.,]*|an?|half an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|"
    r"fifteen|twenty|thirty|forty|sixty|ninety)"
)
_MONTH = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
)

_STATED = {
    ValueKind.MONEY: (
        r"[€£$]\s?\d|\d\s?(?:€|%|euros?\b|pounds?\b|dollars?\b|points\b|cents?\b)|\bfree\b|"
        r"\b(?:no|without|at no) (?:charge|cost|fee)\b|\bcosts? nothing\b"
    ),
    ValueKind.MOMENT: (
        rf"\b{_NUMBER}[\s-](?:more |working |full |business |calendar )?"
        r"(?:second|minute|hour|day|night|week|month|year)s?\b|\b\d{1,2}[:.]\d\d\b|"
        rf"\b\d{{1,2}}\s?[ap]\.?m\b|\bnoon\b|\bmidnight\b|\b\d{{1,2}} {_MONTH}\b|{_MONTH} \d|"
        r"\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?\b|\b20\d\d\b"
    ),
    ValueKind.WEIGHT: r"\d\s?(?:kg|g|kilos?|kilograms?|grams?|pounds?|lbs?|tonnes?)\b",
    ValueKind.SIZE: (
        r"\d\s?(?:[cmk]?m|[ck]?l|ml|(?:centi|kilo)?met(?:re|er)s?|inch(?:es)?|lit(?:re|er)s?|"
        r"Wh|kWh|watts?|W|[MG]B)\b|\d ?[x×] ?\d"
    ),
    ValueKind.COUNT: (
        r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|once|twice|none)\b"
    ),
}

_PERIOD = r"(?:minutes|hours|days|nights|weeks|months|years|time|notice)"
_ASKED = {
    ValueKind.MOMENT: (
        rf"\bhow (?:much|many) (?:\w+ )?{_PERIOD}\b|"
        r"\bhow (?:long|soon|quickly|fast|early|late|old|far ahead|far in advance|close to)\b|"
        r"\b(?:until|till|by|since|from) when\b|\bdeadline\b|\b(?:latest|earliest)\b|^when\b|"
        r"\bwhen (?:do|does|did|will|can|must|should|is|are|was|were|may|has|have)\b|"
        r"\b(?:what|which) (?:time|date|day|month|age|period)\b|\bat what (?:age|point)\b|"
        r"\b(?:opening|closing) (?:times|hours)\b|\bwithin what\b"
    ),
    ValueKind.WEIGHT: r"\bhow heavy\b|\bweighs?\b|\bhow many (?:kilos|kg|pounds)\b|\bheaviest\b",
    ValueKind.SIZE: (
        r"\bhow (?:big|large|small|wide|tall|thick|high|deep|far)\b|\bwhat size\b|\bdimensions?\b|"
        r"\b(?:largest|biggest|longest|tallest)\b|\bdistance\b|\bmeasure\b"
    ),
    ValueKind.MONEY: (
        r"\bhow much\b|\bhow expensive\b|\bcosts?\b|\bprices?\b|\bfees?\b|\bcharges?d?\b|"
        r"\bsurcharges?\b|\bpay\b|\bdeposit\b|\bper ?cent(?:age)?\b|\bdiscount\b|\bcompensation\b|"
        r"\bcheaper\b|\bdearer\b|\bmoney\b|\bsave\b|\bowe\b"
    ),
    ValueKind.COUNT: r"\bhow (?:many|often)\b|\bnumber of\b|\b(?:max|min)imum\b|\blimit\b",
}

_STATES = {kind: re.compile(pattern, re.IGNORECASE) for kind, pattern in _STATED.items()}
_ASKS = {kind: re.compile(pattern, re.IGNORECASE) for kind, pattern in _ASKED.items()}


def asked_kinds(question: str) -> frozenset[ValueKind]:
    """The kinds of value that would answer the question; none for "may I" and "why".

    "How much" alone asks for money, "how many" alone for a count: both give way to what they are
    said of.

    >>> sorted(asked_kinds("How much time do I have, and what does it cost?"))
    [<ValueKind.MOMENT: 'moment'>, <ValueKind.MONEY: 'money'>]
    """
    asked = {kind for kind, pattern in _ASKS.items() if pattern.search(question)}
    if asked & {ValueKind.MOMENT, ValueKind.WEIGHT, ValueKind.SIZE} and not _COSTS.search(question):
        asked.discard(ValueKind.MONEY)
    if len(asked) > 1:
        asked.discard(ValueKind.COUNT)
    return frozenset(asked)


_COSTS = re.compile(_ASKED[ValueKind.MONEY].removeprefix(r"\bhow much\b|"), re.IGNORECASE)


def states_one_of(kinds: frozenset[ValueKind], text: str) -> bool:
    """Whether the text states a value of one of these kinds.

    >>> states_one_of(frozenset({ValueKind.MONEY}), "A second suitcase costs €60.")
    True
    """
    return any(_STATES[kind].search(text) for kind in kinds)
