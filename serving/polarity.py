"""Does a sentence say the opposite of its source? Negations, opposites, and promises of its own.

Words in common cannot tell `may fly` from `may not fly`, so this is asked on its own: of the clause
of the source that shares the most words with the clause of the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from serving.facts import SourceUnit, words_of

_NEGATION = re.compile(
    r"\b(?:not(?! only\b)|never|cannot|without|neither|nor|none|nobody|nothing|nowhere|unable"
    r"|no(?! (?:later|earlier|more|less|fewer|longer than|matter|problem|worries)\b)"
    r"|refus(?:e|es|ed)|forbidden|prohibited|excluded)\b"
    r"|n['’]t\b|\bnon-?(?=[a-z])",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r"[;:.!?,](?=\s|$)|\s[–—·]\s|[()]|\b(?:but|while|whereas|although|unless|if|because|since"
    r"|and)\b",
    re.IGNORECASE,
)
# A promise of its own: a sentence that has a word of a group needs one of the group in its source.
_PROMISES = tuple(
    re.compile(rf"\b(?:{pattern})", re.IGNORECASE)
    for pattern in (
        r"free\b|complimentary|gratis|no (?:extra |additional )?(?:charge|cost|fee)"
        r"|without (?:extra "
        r"|additional )?(?:charge|cost|paying)|includ|inclusive|waive|costs? nothing|zero|[€$£]0\b",
        r"refund|money back|reimburs|repa(?:y|id)|gives? back|comes? back|get back|paid back"
        r"|returned",
        r"compensat",
        r"voucher|credit",
        r"guarantee",
        r"unlimited|no limit|as (?:many|much|often) as",
        r"always|any ?time|at all times|never|remain|stays?\b",
        r"twice|double",
        r"half\b|50 ?%|50 per ?cent",
        r"automatic|by itself|by themselves|of (?:its|their) own accord",
    )
)
_PAIRS = """
    before/after arrival/departure include/exclude minimum/maximum earlier/later earliest/latest
    open/close increase/decrease rise/fall refundable/non-refundable accept/refuse outbound/return
    adult/child first/last morning/evening weekday/weekend indoor/outdoor online/offline
    domestic/international allow/forbid permit/prohibit upper/lower inside/outside with/without
    hot/cold buy/sell
"""
_OPPOSITES = tuple(tuple(pair.split("/")) for pair in _PAIRS.split())
_NEAR = 0.6  # of a clause's content words, to be about the same thing
_SCOPE = 0.5  # of what a source denies, to be what the sentence affirms


def contradiction(claim: str, sources: Sequence[SourceUnit]) -> str | None:
    """What speaks against the claim, in words for the log."""
    near = _nearest(claim, sources)
    if not near:
        return None
    text = " ".join(f"{unit.context} {unit.text}" for unit in near)
    for group in _PROMISES:
        found = group.search(claim)
        if found and not group.search(text):
            return f"promise {found[0]!r}"
    for pair in _OPPOSITES:
        for word, other in (pair, pair[::-1]):
            if _swapped(word, other, claim, text):
                return f"{word!r} for {other!r}"
    for clause in _clauses(claim):
        if _negation_differs(clause, claim, near):
            return f"negation in {clause!r}"
    return None


def _nearest(claim: str, sources: Sequence[SourceUnit]) -> list[SourceUnit]:
    """The three units that share the most words with the claim."""
    words = words_of(claim)
    shared = [(len(words & unit.words), unit) for unit in sources]
    shared = [item for item in shared if item[0]]
    shared.sort(key=lambda item: -item[0])
    return [unit for _, unit in shared[:3]]


def _swapped(word: str, other: str, claim: str, source: str) -> bool:
    """Whether the source has the other word, alone or before the same word: `after landing`."""
    if not _has(claim, word):
        return False
    if not _has(source, word) and _has(source, other):
        return True
    for found in re.finditer(rf"\b{word}\s+(?:(?:the|your|a|an)\s+)?(\w+)", claim, re.IGNORECASE):
        behind = rf"\s+(?:(?:the|your|a|an)\s+)?{found[1]}"
        if _has(source, other + behind) and not _has(source, word + behind):
            return True
    return False


def _has(text: str, pattern: str) -> bool:
    return re.search(rf"\b{pattern}", text, re.IGNORECASE) is not None


@lru_cache(maxsize=2_000)
def _clauses(text: str) -> tuple[str, ...]:
    parts, start = [], 0
    for cut in _CLAUSE.finditer(text):
        parts.append(text[start : cut.start()])
        start = cut.end()
    parts.append(text[start:])
    return tuple(part.strip() for part in parts if len(words_of(part)) > 0)


def _negation_differs(clause: str, claim: str, sources: Sequence[SourceUnit]) -> bool:
    """Whether one side denies what the other affirms."""
    words = words_of(clause)
    if _NEGATION.search(clause):
        denied = words_of(_denied(clause)) or words
        best = max(
            (part for unit in sources for part in _clauses(unit.text)),
            key=lambda part: len(words & words_of(part)) / len(words | words_of(part)),
        )
        about = len(denied & words_of(best)) >= _SCOPE * len(denied)
        return about and not any(_NEGATION.search(text) for text in (best, sources[0].text))
    if _NEGATION.search(claim) or _affirmed(words, sources):
        return False
    for unit in sources:
        if len(words & unit.words) < _NEAR * len(words):
            continue
        for part in _clauses(unit.text):
            denied = words_of(_denied(part))
            if denied and len(denied & words) >= _SCOPE * len(denied):
                return True
    return False


def _affirmed(words: frozenset[int], sources: Sequence[SourceUnit]) -> bool:
    """Whether a clause without a negation says the same."""
    return any(
        len(words & words_of(part)) >= _NEAR * len(words)
        for unit in sources
        for part in _clauses(unit.text)
        if not _NEGATION.search(part)
    )


def _denied(clause: str) -> str:
    """What stands behind the first negation; empty without one."""
    found = _NEGATION.search(clause)
    return clause[found.end() :] if found else ""
