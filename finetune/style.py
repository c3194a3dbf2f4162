"""What can be seen of an answer's style without understanding it."""

from __future__ import annotations

import re

EMOJI = re.compile(
    "[\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff\u2600-\u26ff\u2728\u2764\u2708\u270c\u270b\u2b50]"
    r"|(?<!\w)[:;]-?[)(DP](?!\w)"
)
CONTRACTION = re.compile(
    r"\b(?:\w+n['’]t|(?:i|you|we|they|s?he|it|that|there|here|what|who|where|how|let)"
    r"['’](?:m|re|ve|ll|d|s)|gonna|wanna|gotta)\b",
    re.IGNORECASE,
)
WRITTEN_OUT = re.compile(  # what could have been contracted; "so it is." could not
    r"\b(?:(?:do|does|did|is|are|was|were|has|have|had|will|would|could|should) not|cannot"
    r"|(?:i (?:am|will|would)|(?:you|we|they) (?:are|will|would)"
    r"|(?:it|that|there|here|what|s?he) (?:is|will)|let us)(?![.,;:?!]))\b",
    re.IGNORECASE,
)
GREETING = re.compile(
    r"\W*(?:hi|hello|hey|hiya|heya|howdy|dear|ahoy|greetings|yo|good (?:morning|afternoon|evening)"
    r"|welcome(?: back| aboard)?)\b(?=[^.?!\n]{0,40}(?:[,.!?\n:–—-]|$))",
    re.IGNORECASE,
)
SIGN_OFF = re.compile(
    r"\W*(?:(?:with )?(?:kind|best|warm|kindest|warmest) (?:regards|wishes)|regards|sincerely|"
    r"yours (?:truly|sincerely|faithfully)|cheers|all the best|take care|warmly|see you\b.{0,25}"
    r"|(?:have a|enjoy your) [\w ]{3,30}|(?:happy|safe) (?:travels|flying|trip|landings)"
    r"|your (?:[\w’']+ ){0,3}team|xoxo|\W*the (?:[\w’']+ ){1,3}team|bye|love|lots of love)\b",
    re.IGNORECASE,
)
LIST_ITEM = re.compile(r"^[ \t]*(?P<mark>[-*+•–]|\d{1,2}[.)])[ \t]+\S", re.MULTILINE)
WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
SENTENCE_END = re.compile(r"(?<=[.!?…。！？])[\"'”’)\]*_]*\s+|\n+")
CITATION = re.compile(r"\s*\[\d+(?:, ?\d+)*\]")
END_MARKS = ".!?…:。！？"
CLOSERS = "\"'”’»)]*_`~ \t\n\ufe0f\u200d"
NO_PROSE = re.compile(r"[|`]$|^\s*\||https?://\S+$|^\s*#")  # table, code, link, heading


def without_citations(text: str) -> str:
    """The text without the numbers of its sources, which follow the end mark.

    >>> without_citations("It is open. [1][2]")
    'It is open.'
    """
    return CITATION.sub("", text)


def sentences(text: str) -> list[str]:
    """Pieces that end with an end mark or a line.

    >>> sentences("Of course! It flies at noon. [1]\\nBest, Anna")
    ['Of course!', 'It flies at noon.', 'Best, Anna']
    """
    pieces = SENTENCE_END.split(without_citations(text))
    return [piece.strip() for piece in pieces if piece.strip()]


def words(text: str) -> list[str]:
    """Runs of letters, joined by apostrophes and hyphens."""
    return WORD.findall(text)


def lines(text: str) -> list[str]:
    """The lines that hold something beside citations."""
    return [line for line in without_citations(text).splitlines() if line.strip()]


def ends_with_mark(text: str) -> bool | None:
    """Whether the last line is finished; an emoji finishes it too. None where none is due.

    >>> [ends_with_mark(text) for text in ("Yes.", "See you 🎉", "It is the", "- socks")]
    [True, True, False, None]
    """
    kept = lines(without_sign_off(text))
    last = kept[-1] if kept else ""
    if not last or LIST_ITEM.match(last) or NO_PROSE.search(last.strip()):
        return None
    bare = last.rstrip(CLOSERS)
    if not bare:
        return None
    return bare[-1] in END_MARKS or any(found.end() == len(bare) for found in EMOJI.finditer(bare))


def sign_off(text: str) -> str | None:
    """The words of parting at the end: a line, or a last sentence, and a name that may follow."""
    for piece in (*lines(text)[-2:], *sentences(text)[-1:]):
        if len(words(piece)) <= 10 and SIGN_OFF.match(piece):
            return piece.strip()
    return None


def without_sign_off(text: str) -> str:
    """The text before a sign-off that stands on lines of its own.

    >>> without_sign_off("It is open.\\n\\nKind regards,\\nThe crew")
    'It is open.'
    """
    kept = lines(text)
    for place in range(max(len(kept) - 2, 1), len(kept)):
        if len(words(kept[place])) <= 10 and SIGN_OFF.match(kept[place]):
            return "\n".join(kept[:place])
    return "\n".join(kept)
