"""Whose voice is it? A classifier of written text, stripped of what would give a brand away.

It learns from the written examples of the voices and from text in neither voice, never from what a
model wrote, so a model is recognised only if it writes as people of that brand would.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from finetune.style import EMOJI, GREETING, sentences, without_citations, without_sign_off

PLAIN = "plain"  # text in none of the voices
GREETING_WORDS = 6  # a longer first sentence says more than hello


def stripped(text: str, *, brands: Sequence[str], sign_offs: Sequence[str]) -> str:
    """The text without citations, emoji, brand names, a first greeting and a last sign-off.

    >>> stripped("Hi! Skylark can help. 🎉 Wings up!", brands=["Skylark"], sign_offs=["Wings up!"])
    'can help.'
    """
    text = EMOJI.sub(" ", without_citations(without_sign_off(text)))
    pieces = sentences(text)
    if pieces and GREETING.match(pieces[0]) and len(pieces[0].split()) <= GREETING_WORDS:
        pieces = pieces[1:]
    while pieces and pieces[-1] in sign_offs:
        pieces = pieces[:-1]
    joined = " ".join(pieces)
    for brand in brands:
        joined = re.sub(rf"\b{re.escape(brand)}\b", " ", joined, flags=re.IGNORECASE)
    return " ".join(joined.split())


@dataclass(frozen=True, slots=True)
class VoiceRecogniser:
    """Character and word n-grams, weighed by logistic regression."""

    brands: tuple[str, ...]
    sign_offs: tuple[str, ...]
    _pipeline: Any

    @classmethod
    def learn(cls, texts: Mapping[str, Sequence[str]], *, sign_offs: Sequence[str]) -> Self:
        """From texts by voice; `PLAIN` holds those in none."""
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline, make_union

        brands = tuple(sorted(set(texts) - {PLAIN}))
        pairs = [
            (stripped(text, brands=brands, sign_offs=sign_offs), voice)
            for voice, written in texts.items()
            for text in written
        ]
        kept = [(text, voice) for text, voice in pairs if text]
        pipeline = make_pipeline(
            make_union(
                TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True),
                TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
            ),
            LogisticRegression(C=30, class_weight="balanced", max_iter=2000),
        )
        pipeline.fit([text for text, _ in kept], [voice for _, voice in kept])
        return cls(brands, tuple(sign_offs), pipeline)

    def recognise(self, texts: Sequence[str]) -> list[str]:
        """The voice of each; text of which nothing is left in none of them."""
        bare = [stripped(text, brands=self.brands, sign_offs=self.sign_offs) for text in texts]
        found = self._pipeline.predict(bare) if bare else []
        return [str(voice) if text else PLAIN for text, voice in zip(bare, found, strict=True)]
