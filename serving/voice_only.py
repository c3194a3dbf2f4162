"""Is a sentence manner alone? A greeting, thanks, empathy, an offer, a question back.

Such a sentence needs no source. It must open or read like one of these, and state nothing that
could be looked up: no number, date or name, no word of rules and prices, and hardly anything that
neither the question nor courtesy brought up.
"""

from __future__ import annotations

import re

from serving.facts import facts, words_of
from serving.names import unknown_names

_MANNER = re.compile(
    r"""
    ^\W*(?:hello|hi|hey|hiya|dear|good\ (?:morning|afternoon|evening|day|news|question|luck)|welcome
        |greetings|ahoy|aloha|cheers|oh|ah|aw+|wow|yay|phew|great|lovely|wonderful|brilliant
        |no\ worries
        |fair\ (?:question|enough)|sure|of\ course|certainly|gladly|here\ (?:is|are|you)|here['’]s
        |in\ short|in\ brief|the\ short\ (?:answer|version)|let\ (?:me|us)|let['’]s
        |safe\ (?:travels|trip)
        |bon\ voyage|happy\ (?:travels|flying|landings)|see\ you|take\ care|until\ then
        |have\ an?\ |enjoy
        |(?:kind|warm|best)(?:est)?\ (?:regards|wishes)|yours|sincerely|fly\ (?:safe|well))\b
    |\b(?:thanks?|thank\ you|grateful|sorry|apologi[sz]e|apologies|regret|congratulations|pleasure
        |understand(?:able|ably)?|appreciate|sympath\w+|hope|wish|look(?:ing)?\ forward|delighted
        |glad|pleased
        |happy\ to|here\ (?:to|for)|good\ to\ (?:know|hear)|anything\ else|further\ questions?
        |more\ questions?|just\ (?:ask|say|shout)|feel\ free|let\ (?:me|us)\ know|we['’]ve\ got\ you
        |got\ you\ covered|can\ imagine|must\ be\ (?:hard|difficult|frustrating|stressful
        |exciting))\b
    |\b(?:I|we)(?:['’]d|\ would|\ do|\ can)?\ (?:recommend|suggest|advise|gladly|happily|help
    |assist|check|look)\b
    |\?["”’)]*\s*$
    """,
    re.IGNORECASE | re.VERBOSE,
)
# The documents' silence may be told as such.
_SILENCE = re.compile(
    r"^\W*(?:unfortunately,? )?(?:the|our|these) (?:documents?|passages?|pages?|sources?) "
    r"(?:don['’]t|do not|doesn['’]t|does not) (?:say|state|mention|tell|cover|name)\b",
    re.IGNORECASE,
)
_RULES = re.compile(
    r"\b(?:may|must|shall|cannot|can['’]?t|allow\w*|permi\w+|forbid\w*|forbidden|prohibit\w*"
    r"|requir\w*"
    r"|need(?:s|ed)? to|ha(?:ve|s) to|entitle\w*|eligib\w*|free of|for free|free|complimentary"
    r"|refund\w*"
    r"|reimburs\w*|compensat\w*|voucher\w*|fees?|charg\w*|cost\w*|pric\w*|pay\w*|paid|cheap\w*"
    r"|within"
    r"|until|before|after|at least|at most|up to|limit\w*|maximum|minimum|always|never|only"
    r"|every|all"
    r"|includ\w*|exclud\w*|valid|expir\w*|deadline|guarantee\w*|waive\w*|available|possible|open\w*"
    r"|close\w*|offer(?:s|ed)?|serve[sd]?|accept\w*|cover(?:s|ed)|appl(?:y|ies)|automatic\w*)\b",
    re.IGNORECASE,
)
COURTESY_WORDS = """
    hello hi hey dear good morning afternoon evening day news question luck welcome greetings
    great lovely wonderful brilliant worry fair sure course certainly gladly here answer short
    brief let me know safe travel trip journey flight flying fly voyage happy see take care enjoy
    kind warm best regards wishes yours sincerely team thanks thank grateful sorry apologise
    apology regret congratulations pleasure understand appreciate sympathy hope wish look forward
    delighted glad pleased hear anything else further more just ask say shout feel free got
    covered imagine hard difficult frustrating stressful exciting recommend suggest advise help
    assist check moment time board aboard soon nice asking reaching writing touch contact details
    find out plan planning everything ready smooth pleasant wait inconvenience trouble situation
    need want like love come back step next tell point clear quick simple really little bit
"""
MAX_NEW_WORDS = 2  # content words of neither the question nor courtesy
MAX_CRY_WORDS = 5  # `Tailwinds to you!`
MAX_QUESTION_WORDS = 8  # a question back names what it asks about


def is_voice_only(
    sentence: str,
    *,
    question: str,
    material: frozenset[int] = frozenset(),
    known: frozenset[str] = frozenset(),
) -> bool:
    """Whether the sentence may stand without a source.

    `material` are the content words of the passages; `known` names (folded) are nobody's facts.

    >>> is_voice_only("Thanks for asking about your cat!", question="May my cat fly?")
    True
    >>> is_voice_only("We hope you enjoy the free lounge.", question="May my cat fly?")
    False
    """
    text = sentence.strip()
    if facts(text).any or unknown_names(text, question, known=known):
        return False
    if _SILENCE.match(text):
        return True
    if _RULES.search(_without_courtesy(text)):
        return False
    words, asked = words_of(text), words_of(question)
    if not _MANNER.search(text):
        cry = text.endswith("!") and len(text.split()) <= MAX_CRY_WORDS
        return cry and not words & (asked | material)
    new = words - asked - words_of(COURTESY_WORDS)
    asks = text.rstrip('"”’) ').endswith("?")
    return len(new) <= (MAX_QUESTION_WORDS if asks else MAX_NEW_WORDS) and (
        asks or len(new & material) < MAX_NEW_WORDS
    )


def tells_silence(sentence: str) -> bool:
    """Whether it says that the documents don't say."""
    return _SILENCE.match(sentence.strip()) is not None


def _without_courtesy(text: str) -> str:
    """Without idioms that have words of rules in them: `feel free`, `all the best`."""
    return re.sub(
        r"feel free|all the best|after all|any ?time|all set|must be (?:hard|difficult|frustrating"
        r"|stressful|exciting)|before (?:you go|I go)|pay attention|if I may|all (?:good|right)",
        " ",
        text,
        flags=re.IGNORECASE,
    )
