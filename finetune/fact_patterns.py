"""How facts that change are written: amounts, dates, limits, references, ways to get in touch."""

from __future__ import annotations

import re
from enum import StrEnum


class FactKind(StrEnum):
    """What sort of fact it is."""

    CONTACT = "address or link"
    REFERENCE = "policy or article number"
    PRICE = "price"
    PERCENTAGE = "percentage"
    DATE = "date"
    TIME_LIMIT = "time limit"
    TIME_OF_DAY = "time of day"
    VERSION = "version number"
    PHONE = "phone number"
    MEASURE = "measure"
    YEAR = "year"


SCALE = r"(?:k|thousand|million|billion|m|bn)"
JOINS_DIGITS = r".,'’\u202f\u00a0–-"  # inside a character class: of one number, or of a range
_AMOUNT = rf"\d(?:[\d.,'’\u202f\u00a0]*\d)?(?: ?{SCALE}\b)?"
_UNDER_TEN = r"(?:one|two|three|four|five|six|seven|eight|nine)"
_UNDER_HUNDRED = (
    rf"(?:(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:[- ]{_UNDER_TEN})?|ten|eleven"
    rf"|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|{_UNDER_TEN})"
)
_WORD_NUMBER = (
    rf"(?:(?:{_UNDER_HUNDRED}|a(?= (?:hundred|thousand|million)\b))"
    rf"(?: (?:hundred|thousand|million)(?:(?: and)? {_UNDER_HUNDRED})?)*)"
)
_NUMBER = rf"(?:{_WORD_NUMBER}|\d+(?:[.,]\d+)?(?: ?(?:-|–|to|or) ?\d+)?)"
_UNIT = (
    r"(?:minutes?|mins?|hours?|hrs?|(?-i:h)|(?:(?:business|working|calendar) )?days?|weeks?"
    r"|fortnights?|months?|years?|nights?)"
)
# `a week` as a limit; not `take a minute`, `take a day off`, `a day or two`, `a night's rest`.
_ARTICLE_UNIT = (
    rf"(?:about |around )?(?:an?|half an) {_UNIT}\b"
    r"(?!['’]| (?:off|out)\b| or (?:so|more|two|three)\b)"
)
_ARTICLE_LIMIT = (
    rf"\b(?:within|up to|at least|at most|no later than|less than|more than) {_ARTICLE_UNIT}|"
    rf"\bin (?!a min){_ARTICLE_UNIT}|"
    rf"(?<=\w )(?<!please )(?:takes?|lasts?) (?!a min){_ARTICLE_UNIT}|"
    rf"\b(?:an?|half an) {_UNIT} (?:before|in advance|prior to)\b"
)
_CURRENCY = r"(?:USD|EUR|GBP|CHF|JPY|CAD|AUD|SEK|NOK|DKK|PLN|INR|CNY)"
_MONEY = (
    r"(?:dollars?|euros?|pounds?(?! of)|bucks|quid|cents?|pence|francs?|yen|rupees|kron(?:er|or|a))"
)
_MONTH = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December"
    r"|Jan\.?|Feb\.?|Mar\.?|Apr\.?|Jun\.?|Jul\.?|Aug\.?|Sept?\.?|Oct\.?|Nov\.?|Dec\.?)"
)
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_PHONE = r"(?:\+\d{1,3}|\(?0\d{1,4}\)?|1?[ -]?\(?\d{3}\)?)(?:[ .\-/]\(?\d{2,4}\)?){2,5}"

# In order of claim: a regulation's number is not also a year, nor a version a time.
PATTERNS: tuple[tuple[FactKind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, flags))
    for kind, pattern, flags in (
        (
            FactKind.CONTACT,
            r"\bhttps?://[^\s)>\]]*[^\s)>\].,;:!?]|\bwww\.[\w.-]+\w|[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
            re.IGNORECASE,
        ),
        (
            FactKind.REFERENCE,
            r"\b(?:polic(?:y|ies)|articles?|sections?|clauses?|paragraphs?|regulations?|directives?"
            r"|rules?|forms?|annex|appendix|chapter|terms?)(?: \([A-Z]{2,3}\))?"
            r"(?: (?:no\.?|number|nr\.?))? ?#?(?:[A-Z]{1,4}-?)?\d[\w./-]*(?<![./-])|§+ ?\d[\w.]*\b",
            re.IGNORECASE,
        ),
        (
            FactKind.PRICE,
            rf"(?:[A-Z]{{2}})?[$€£¥₹] ?{_AMOUNT}|\b{_CURRENCY} ?{_AMOUNT}|"
            rf"\b{_AMOUNT} ?(?:[€£¥₹$]|{_CURRENCY}\b)|"
            rf"\b(?i:(?:{_AMOUNT}|{_WORD_NUMBER}(?: (?:hundred|thousand))?) {_MONEY})\b",
            0,
        ),
        (
            FactKind.PERCENTAGE,
            rf"\b\d+(?:[.,]\d+)? ?(?:[%‰]|per ?cent\b|percent\b)|\b{_WORD_NUMBER} per ?cent\b",
            re.IGNORECASE,
        ),
        (
            FactKind.DATE,
            rf"\b\d{{4}}-\d{{2}}-\d{{2}}\b|\b\d{{1,2}}[./]\d{{1,2}}[./](?:\d{{4}}|\d{{2}})\b|"
            rf"\b{_DAY}(?: of)? {_MONTH}(?:,? \d{{4}}\b)?|"
            rf"\b{_MONTH} {_DAY}\b(?:,? \d{{4}}\b)?|\b{_MONTH},? \d{{4}}\b",
            0,
        ),
        (
            FactKind.TIME_LIMIT,
            rf"\b(?:within|in|under|up to|at least|at most|no later than|less than|more than|after"
            rf"|every|for|over|the (?:first|next|last)|until) "
            rf"(?:the (?:first|next|last) )?(?:about |around )?{_NUMBER}[- ]?{_UNIT}\b|"
            rf"\b\d+(?: ?(?:-|–|to|or) ?\d+)?[- ]?{_UNIT}\b|{_ARTICLE_LIMIT}|"
            rf"\b{_WORD_NUMBER}(?:-| (?=\w+ (?:before|after|prior|notice|in advance))){_UNIT}\b|"
            rf"\b{_WORD_NUMBER} (?:business|working|calendar) days?\b",
            re.IGNORECASE,
        ),
        (
            FactKind.TIME_OF_DAY,
            r"\b\d{1,2}(?::\d{2})? ?(?:a\.?m\b\.?|p\.?m\b\.?|o['’]clock)|\b\d{1,2}:\d{2}\b|"
            r"\b(?:at|until|till|by|from|no later than|12) (?:noon|midnight)\b",
            re.IGNORECASE,
        ),
        (
            FactKind.VERSION,
            r"\b(?:version|release|build|v\.?) ?\d+(?:\.\d+)*\b|\b\d+\.\d+\.\d+(?:\.\d+)?\b",
            re.IGNORECASE,
        ),
        (FactKind.PHONE, rf"(?<![\w.]){_PHONE}(?!\w)|(?<!\w)\+?\d{{9,13}}\b", 0),
        (
            FactKind.MEASURE,
            r"\b\d+(?:[.,]\d+)?(?: ?[x×] ?\d+(?:[.,]\d+)?)*[ -]?(?:kg|kilos?|kilograms?|g|grams?"
            r"|lbs?|pounds|cm|centimet(?:re|er)s?|mm|met(?:re|er)s?|km|kilomet(?:re|er)s?|miles"
            r"|inch(?:es)?|ml|lit(?:re|er)s?|points|°[CF]|GB|MB|TB|GiB|MiB|kWh|Wh|Mbit/s)\b",
            0,
        ),
        (FactKind.YEAR, r"(?<![\w.,-])(?:19|20)\d{2}(?![\w-]|[.,]\d)", 0),
    )
)
