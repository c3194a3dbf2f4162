"""Proper names, codes and addresses that a sentence states, for looking up in its sources."""

from __future__ import annotations

import re
from collections.abc import Iterator

from retrieval.words import content_words

_ADDRESS = re.compile(
    r"https?://[^\s)>\]]*[^\s)>\].,;:!?]|\bwww\.[\w.-]+\w(?:/[\w./-]*\w)?"
    r"|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|\b[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|example|io"
    r"|eu)\b(?:/[\w./-]*\w)?",
    re.IGNORECASE,
)
_PHONE = re.compile(
    r"(?<![\w.])(?:\+|00)?\(?\d[\d()]*(?:[ .\-/()]+\d+){2,}(?!\w)|(?<!\w)\+?\d{9,13}\b"
)
# Letters and digits in one word. `24h`, `23kg` and `€65` are quantities.
_CODE = re.compile(
    r"\b(?!(?:EUR|USD|GBP|CHF|JPY)\d)[A-Za-z]+(?:[-/.][A-Za-z]+)*[-/.]?\d[\w/-]*(?:\.\d+)*"
    r"|\b\d+[A-F]\b|\b\d+(?:\.\d+){2,}\b|§+\s?\d[\w.]*"
)
_WORD = re.compile(r"[^\W\d_](?:[\w’'&-]*\w)?")
_SENTENCE_START = re.compile(r"(?:^|[.!?:;…]\s+|[\"“‘(*]\s*|\n\s*(?:[-*+]|\d+[.)])?\s*|[|]\s*)\W*$")
_NO_NAMES = frozenset(["i", "i'm", "i'd", "i'll", "i've", "ok", "okay", "faq", "pdf", "id", "hi"])
_BEHIND_NAME = re.compile(
    r"['’]s\b|,? [A-Z]|,? (?:and|or) [A-Z]"
    r"| (?:is|are|was|were|has|have|had|may|can|will|must|does|did|also|never|[a-z]+s)\b"
)
# Words that open sentences, beside those without content, which the engine drops by itself.
_OPENER_WORDS = """
    absolutely according additionally after again all also although always another any anyone
    anything apart as ask at because before best beyond both bring but by call certainly change
    check children choose come congratulations contact correct dear do don't each earlier either
    else enjoy even every everyone everything exactly example except fair feel first fly follow
    for from further generally give good great happy have having hello hence here hopefully how
    however if important in indeed instead just keep kind kindly know later let like likewise long
    look lovely lucky make many maybe meanwhile moreover most much naturally neither never next no
    none nor normally note nothing now of often on once one only open order other otherwise our
    outside over pack passengers pay people perhaps please poor present provided quick remember
    reserve right safe same say second see select send several short show similarly simply since
    so some something sometimes soon sorry still sure take tell thank thanks that the then there
    therefore these this those though thus to together too tough travel travelers travellers true
    try under unfortunately unless until up upon use usually very want warm we welcome well what
    when whenever where whether which whichever while who whoever why will with within without
    wonderful write yes yet you your
"""
_OPENERS = frozenset(_OPENER_WORDS.split())


def take_addresses(text: str) -> tuple[list[str], str]:
    """Links, e-mail addresses and phone numbers, folded; and the text with blanks instead."""
    found = [
        re.sub(r"^(?:https?://)?(?:www\.)?", "", match[0].lower()).rstrip("/")
        for match in _ADDRESS.finditer(text)
    ]
    text = _ADDRESS.sub(_blank, text)
    phones = [match for match in _PHONE.finditer(text) if _is_phone(match[0])]
    found += [re.sub(r"\D", "", match[0]).removeprefix("00") for match in phones]
    for match in phones:
        text = f"{text[: match.start()]}{_blank(match)}{text[match.end() :]}"
    return found, text


def _is_phone(text: str) -> bool:
    """Six digits or more, and no thousands: `10 000 000`."""
    digits = re.sub(r"\D", "", text)
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return False
    return 6 < len(digits) < 16 and not re.fullmatch(r"\d{1,3}(?:[ .]\d{3})+", text)


def take_codes(text: str) -> tuple[list[str], str]:
    """`MA-PET-01`, `A320`, `14C`, `1.2.3`, folded; and the text with blanks instead."""
    found = [re.sub(r"[\s.-]", "", match[0]).lower() for match in _CODE.finditer(text)]
    return found, _CODE.sub(_blank, text)


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])


def names(text: str) -> Iterator[str]:
    """Capitalised words in the middle of a sentence; at its start, those that are no usual opener.

    >>> list(names("Dogs fly with Great Lakes Jet. In Oslo, ask Ms Moe."))
    ['Dogs', 'Great', 'Lakes', 'Jet', 'Oslo', 'Ms', 'Moe']
    """
    for match in _WORD.finditer(text):
        word = re.sub(r"['’]s?$", "", match[0])
        if not word[0].isupper() or word.lower() in _NO_NAMES:
            continue
        starts = _SENTENCE_START.search(text[: match.start()]) is not None
        if starts and not _may_be_name(word, text[match.end() :]):
            continue
        yield word


def _may_be_name(word: str, following: str) -> bool:
    """Whether it is a subject that no usual opener is: `Lufthansa accepts`, not `Ring the bell`."""
    folded = re.split(r"['’-]", word.lower())[0]
    return (
        folded not in _OPENERS
        and bool(content_words(word))
        and _BEHIND_NAME.match(following) is not None
    )


def unknown_names(text: str, given: str, *, known: frozenset[str] = frozenset()) -> list[str]:
    """The names that stand nowhere in the given text, by their stems; `known` words are folded.

    A word that opens a sentence counts as given in any form: `Booking` by `book`.
    """
    stems = content_words(given)
    folded = set(re.findall(r"[^\W_]+", given.lower()))
    missing = []
    for name in names(text):
        parts = [part for part in re.findall(r"[^\W_]+", name.lower()) if part not in known]
        if any(part not in folded and not content_words(part) <= stems for part in parts):
            missing.append(name)
    return missing
