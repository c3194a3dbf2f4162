"""Numbers written as words -> digits: `twenty-five` -> 25, `two hundred and ten` -> 210."""

from __future__ import annotations

import re

_SMALL = {
    word: value
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
}
_TENS = {
    word: 10 * value
    for value, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=2
    )
}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000}
_WORD = "|".join([*_SMALL, *_TENS, *_SCALES, "dozen"])
WORD_NUMBER = re.compile(
    rf"\b(?:half a dozen|(?:an? )?(?:{_WORD})(?:(?:[ -]|(?: and ))(?:{_WORD}))*)\b", re.IGNORECASE
)


def word_value(text: str) -> int:
    """The value of a match of WORD_NUMBER.

    >>> word_value("two hundred and ten"), word_value("twenty-five"), word_value("a dozen")
    (210, 25, 12)
    """
    words = [word for word in re.split(r"[ -]", text.lower()) if word not in {"and", "a", "an"}]
    if words == ["half", "dozen"]:
        return 6
    total = current = 0
    for word in words:
        if word == "dozen":
            current = max(current, 1) * 12
        elif word in _SCALES:
            current = max(current, 1) * _SCALES[word]
            if word != "hundred":
                total, current = total + current, 0
        else:
            current += _SMALL.get(word, _TENS.get(word, 0))
    return total + current
