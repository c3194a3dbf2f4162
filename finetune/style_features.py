"""An answer's style as numbers: habits counted per sentence or per word, so that length is out."""

from __future__ import annotations

import math
import re

from finetune import style

CASUAL = re.compile(
    r"\b(?:hey|hi|yeah|yep|yay|nope|awesome|super|totally|cool|oops|folks|pop|grab|no worries"
    r"|sure thing|stuff|bunch|guess|pretty|ok|okay|lovely|fun|just|really|so|got|get|kinda|ping"
    r"|shout|budd(?:y|ies)|friends?|gonna|wanna)\b",
    re.IGNORECASE,
)
FORMAL = re.compile(
    r"\b(?:kindly|shall|may|therefore|regarding|however|assist(?:ance)?|request\w*|provided?"
    r"|ensure|additionally|furthermore|upon|prior|such|which|please|whom|whose|hence|thus|must"
    r"|advis\w+|confirm\w*|available|applicable|hath|thou|thee|thy|unto)\b",
    re.IGNORECASE,
)
DASHES = re.compile(r"[;(–—]|(?<=\s)-(?=\s)")


def features(answer: str) -> dict[str, float]:
    """The same names for every answer, in the same order."""
    sentences = max(len(style.sentences(answer)), 1)
    words = [word.casefold() for word in style.words(answer)]
    count = max(len(words), 1)
    short, long = _contracted(answer)
    return {
        "contractions": (short - long) / (short + long + 1),
        "exclamation marks": min(answer.count("!") / sentences, 1),
        "emoji": min(len(style.EMOJI.findall(answer)) / sentences, 1),
        "words per sentence": math.log(count / sentences),
        "letters per word": sum(map(len, words)) / count,
        "casual words": len(CASUAL.findall(answer)) / count,
        "formal words": len(FORMAL.findall(answer)) / count,
        "“I”": sum(word.startswith(("i'", "i’")) or word in ("i", "me", "my") for word in words)
        / count,
        "“we”": sum(word in ("we", "us", "our") for word in words) / count,
        "“you”": sum(word.startswith("you") for word in words) / count,
        "lower-case starts": float(answer.lstrip()[:1].islower()),
        "dashes and brackets": len(DASHES.findall(answer)) / sentences,
        "questions": min(answer.count("?") / sentences, 1),
        "commas": answer.count(",") / count,
        "missing end marks": float(style.ends_with_mark(answer) is False),
        "greetings": float(bool(style.GREETING.match(answer))),
        "sign-offs": float(style.sign_off(answer) is not None),
        "capital letters": sum(map(str.isupper, answer)) / max(len(answer), 1),
    }


def _contracted(answer: str) -> tuple[int, int]:
    return len(style.CONTRACTION.findall(answer)), len(style.WRITTEN_OUT.findall(answer))
