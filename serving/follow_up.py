"""A question that leans on the conversation -> a query that can be searched for on its own.

`And for children?` finds nothing by itself. No language model is asked: a question that leans is
put behind the last one that stands alone, and both together are embedded and searched.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from retrieval.words import content_words
from serving.answers import Message

MAX_LEANING_WORDS = 16  # a longer question brings its own subject
MAX_POINTING_WORDS = 4  # content words of a question whose pronoun is its subject
MAX_EARLIER = 2  # questions that one may lean on, through each other

_OPENS = re.compile(
    r"^\W*(?:(?:ok(?:ay)?|oh|ah|hm+|thanks|thank you|great|so|well|right|sorry)\b\W*)*"
    r"(?:and|or|but|also|what about|how about|what if|even if|even (?:for|on|with)|same (?:for"
    r"|thing|with|on)"
    r"|only|not|then|in that case|for (?:a|an|my"
    r"|the|two|three|children|kids|infants|business|economy)\b|on (?:long|short|medium)"
    r"|with (?:a|an|my))\b",
    re.IGNORECASE,
)
_POINTS = re.compile(
    r"\b(?:it|its|that|this|those|these|they|them|their|theirs|there|he|she|him|hers?|yours|one"
    r"|ones|such"
    r"|the same\W*$|the other|the former|the latter|the first|the second|instead|otherwise|else"
    r"|as well"
    r"|too|either|both|neither|then|more|less|cheaper|longer|shorter|earlier|later|sooner)\b",
    re.IGNORECASE,
)
# Nothing but what is asked: `How much?`, `Until when?`
_BARE = re.compile(
    r"^\W*(?:(?:since|until|by|from|for|to|at|in|on) )?(?:what|when|where|who|whom|which|why|how)\b"
    r"(?!.*\byou\b)(?: (?:much|many|long|often|far|late|early|soon|so|not|is that|exactly|time"
    r"|price))*\W*$",
    re.IGNORECASE,
)
# Words that name no subject for a pronoun.
_GENERIC = (
    "how much many long old new must have pay send cost take get use bring claim need give let come"
    " go keep put make want valid late early soon day hour week"
)
# What these words point at stands in the question itself.
_OWN = re.compile(
    r"\bit['’]s\b|\b(?:is|was|does|did|will|would|can|could|should|has|if|when|how long"
    r"|what time) it\b(?= (?:rain\w*"
    r"|snow\w*|possible|true|okay|ok|allowed|take to|late|worth|matter|legal|cost to)\b)"
    r"|\b(?:is|are|was|were) there\b|\bthere (?:is|are|was|were)\b|\bthis (?:week|month|year|summer"
    r"|winter|autumn|spring|morning|evening|weekend|christmas|easter)\b|\b(?:more|less|earlier"
    r"|later"
    r"|longer|sooner) than\b|\bone[- ](?:way|hour)\b|\bno one\b|\bany more\b|\bsee that\b"
    r"|\bso that\b"
    r"|\bthan that of\b|\bthat (?:i|you|we|my|your|the|is|are|was|has|have)\b",
    re.IGNORECASE,
)


def standalone_query(messages: Sequence[Message]) -> str:
    """What to search for: the question itself, or behind the earlier ones that it leans on.

    >>> standalone_query([
    ...     Message("user", "How much is the cabin place for my cat?"),
    ...     Message("assistant", "It costs €88 [1]."),
    ...     Message("user", "And in the hold?"),
    ... ])
    'How much is the cabin place for my cat? And in the hold?'
    """
    asked = [message.content for message in messages if message.role == "user"]
    query = asked[-1]
    parts = [query]
    for earlier in reversed(asked[-1 - MAX_EARLIER : -1]):
        if not leans(parts[0]):
            break
        parts.insert(0, earlier.strip())
    return query if len(parts) == 1 else " ".join(parts)


def leans(question: str) -> bool:
    """Whether the question leaves its subject to what was said before."""
    words = question.split()
    if not words or len(words) > MAX_LEANING_WORDS:
        return False
    if _OPENS.match(question) or _BARE.match(question):
        return True
    return (
        _POINTS.search(_OWN.sub(" ", question)) is not None
        and len(content_words(question)) <= MAX_POINTING_WORDS
        and len(content_words(_before_pointer(question)) - content_words(_GENERIC)) < 2
    )


def _before_pointer(question: str) -> str:
    """What a pronoun may refer to in the question itself, as in `my cat, may it fly?`."""
    text = _OWN.sub(" ", question)
    found = _POINTS.search(text)
    return text[: found.start()] if found else text
