"""What a text written without documents states although it has to be looked up.

An amount, date, percentage, time limit or the like, or an entitlement, that the conversation does
not hold can only come from the model's weights, where it is as old as the training.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from finetune.volatile_facts import facts_in
from serving.facts import SourceUnit, facts, missing_facts, words_of

# What somebody may, must or gets, together with what it is about; or said outright.
_MODAL = (
    r"(?:may|can|could|must|shall|will|are|is|get|gets|receive|receives|need|needs|ha(?:ve|s) to"
    r"|don['’]?t|doesn['’]?t|cannot|can['’]?t|won['’]?t|isn['’]?t|aren['’]?t|qualif(?:y|ies))"
)
_SUBJECT = (
    r"(?:you|we|passengers?|customers?|members?|guests?|travell?ers?|children|child|kids?|infants?"
    r"|babies|baby|students?|seniors?|pets?|dogs?|cats?|animals?|bags?|baggage|luggage|suitcases?"
    r"|tickets?|fares?|bookings?|seats?|refunds?|vouchers?|points?|they|everyone|anyone|one)"
)
_THING = (
    r"(?:refund\w*|reimburs\w*|compensat\w*|vouchers?|credits?|rebook\w*|upgrad\w*|baggage|bags?"
    r"|luggage"
    r"|suitcases?|carry-on|cancel\w*|check[- ]?in|money back|discount\w*|fees?|charges?|surcharges?"
    r"|allowances?|waive\w*|free(?! to\b)|lounge access"
    r"|insurance|allowed|permitted|entitled|eligible"
    r"|required"
    r"|covered|included|valid|transferable|refundable|hotel|meal|taxi)"
)
_ENTITLEMENT = re.compile(
    rf"\b{_SUBJECT}\b[^.!?\n]{{0,40}}\b{_MODAL}\b[^.!?\n]{{0,60}}\b{_THING}\b"
    r"|\b(?:free of charge|at no (?:extra |additional )?(?:cost|charge)|without (?:extra "
    r"|any )?charge"
    r"|no (?:extra |additional |change |cancellation |booking )?(?:fees?|charges?)\b|for free"
    r"|complimentary"
    r"|entitled to|eligible for|have (?:the|a) right to|non-?refundable|fully refundable"
    r"|money[- ]back"
    r"|full refund|your refund|we(?:['’]ll| will)? (?:refund|reimburse|compensate|waive|rebook|pay"
    r"|cover)\b|(?:is|are) (?:free(?! to\b)|included|(?:not )?(?:allowed|permitted)|forbidden"
    r"|prohibited|refundable"
    r"|covered)\b"
    r"|(?:fly|flies|travels?|rides?) (?:for )?free\b|\b(?:must|may not|cannot"
    r"|can['’]t) be (?:carried"
    r"|checked|taken|brought|returned|refunded|changed|cancelled))",
    re.IGNORECASE,
)
# `You can ask about a refund` grants nothing.
_REFERS = re.compile(
    r"\b(?:ask|check|look (?:it |that |this )?up|find out|tell (?:me|us)|let (?:me|us)"
    r"|help (?:you )?with"
    r"|questions?|whether|if you|how to|details|documents?|know|anything about|look into"
    r"|see if)\b|\?",
    re.IGNORECASE,
)
_WEEKDAY = re.compile(r"\bon (?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?\b")
_LEAST_NUMBER = 10  # `three tips` is no fact of the company
_IN_CONVERSATION = 0.8  # of an entitlement's content words, to be the user's own


def unlooked_up(text: str, conversation: Sequence[str]) -> str | None:
    """What the text states that the conversation does not, in words for the log.

    >>> unlooked_up("A cabin place for your cat costs 65 euros.", ["What does my cat cost?"])
    '65 euros'
    >>> unlooked_up("You may bring two bags.", ["Write me a poem."])
    'You may bring two bags'
    >>> unlooked_up("Happy to help, just ask!", ["Hello"]) is None
    True
    """
    said = SourceUnit("\n".join(conversation), "")
    for fact in _facts(text):
        if fact.casefold() not in said.text.casefold() and not _says(fact, said):
            return fact
    for sentence in re.split(r"(?<=[.!?])\s+|\n+", text):
        found = _ENTITLEMENT.search(sentence)
        if found is None or _REFERS.search(sentence):
            continue
        words = words_of(sentence)
        if len(words & said.words) < _IN_CONVERSATION * len(words):
            return found[0]
    return None


def _facts(text: str) -> Iterator[str]:
    """Facts that change, codes, numbers with a unit, and bare ones of two digits or more."""
    yield from (fact for _, fact in facts_in(text))
    stated = facts(text)
    yield from stated.codes
    for each in stated.quantities:
        if each.unit not in {"", "ordinal"} or each.value >= _LEAST_NUMBER:
            yield text[each.start : each.end]
    yield from _WEEKDAY.findall(text)


def _says(fact: str, said: SourceUnit) -> bool:
    """Whether the conversation states it in another spelling: `65 euros` for `€65`."""
    return facts(fact).any and not missing_facts(fact, [said])
