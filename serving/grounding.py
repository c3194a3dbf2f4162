"""Is a block of an answer borne out by the passages that it cites? Asked before it is released.

First exactly: each link, code, date, time, number and proper name stands in a cited passage, where
the sentence puts it; nothing is denied that the source affirms, or the other way round; no value
that a later passage replaces. Then by words: enough of the sentence's content words stand in the
cited passages, and most of them together in one place. Measured in docs/LOG.md: on our data a
cross-encoder's or an embedder's score tells no better than that, and costs 15 ms a passage.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from retrieval.documents import ScoredPassage
from serving.citations import markers_in, without_markers
from serving.facts import Facts, SourceUnit, facts, missing_facts, source_units, words_of
from serving.instructions_in_text import looks_like_instruction
from serving.names import unknown_names
from serving.polarity import contradiction
from serving.sentences import units
from serving.superseded import outdated
from serving.voice_only import COURTESY_WORDS, is_voice_only

MIN_COVERAGE = 0.6  # of a claim's content words, in all that it cites
MIN_TOGETHER = 0.5  # of them, in one sentence or row and its headings
_JOINTS = " rather since instead however also now currently today total altogether then amount"
_LINE_MARK = re.compile(r"^\s*(?:[-*+•]\s+|\d{1,2}[.)]\s+|#+\s+|>\s*)")


class Verdict(StrEnum):
    """What a block is."""

    SUPPORTED = "supported"
    VOICE = "voice"  # states nothing that could be looked up
    UNCITED = "uncited"  # states something, points nowhere, and has nothing exact in it
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict, and for what is not supported the reason, in words for the log."""

    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Grounding:
    """Checks blocks against the passages of one prompt. `known` are folded names of the voice."""

    passages: Sequence[ScoredPassage]
    question: str
    known: frozenset[str] = frozenset()

    def check(self, block: str) -> Finding:
        """A list or a table is as good as its worst line; lines without markers take all of its."""
        cited = [number for number in markers_in(block) if 1 <= number <= len(self.passages)]
        voice = True
        for line in _lines(block):
            own = [number for number in markers_in(line) if number in cited]
            finding = self._line(line, own or cited)
            if finding.verdict in {Verdict.UNSUPPORTED, Verdict.UNCITED}:
                return finding
            voice = voice and finding.verdict is Verdict.VOICE
        return Finding(Verdict.VOICE if voice else Verdict.SUPPORTED)

    def _line(self, line: str, cited: Sequence[int]) -> Finding:
        claim = _LINE_MARK.sub("", without_markers(line)).strip()
        every = source_units(self.passages)
        material = frozenset().union(*(unit.words for unit in every))
        if not re.search(r"\w", claim) or is_voice_only(
            claim, question=self.question, material=material, known=self.known
        ):
            return Finding(Verdict.VOICE)
        if looks_like_instruction(claim):
            return Finding(Verdict.UNSUPPORTED, "an instruction to a model")
        if not cited:
            given = "\n".join([self.question, *(unit.text for unit in every)])
            exact = facts(claim).any or bool(unknown_names(claim, given, known=self.known))
            return Finding(Verdict.UNSUPPORTED if exact else Verdict.UNCITED, "no source")
        hits = [self.passages[number - 1] for number in dict.fromkeys(cited)]
        sources = source_units(hits)
        given = "\n".join(hit.passage.searchable for hit in hits)
        wrong = [
            *missing_facts(claim, sources),
            *unknown_names(facts(claim).rest, given, known=self.known),
            *outdated(claim, every),
        ]
        reason = ", ".join(wrong) or contradiction(claim, sources) or _unlike(claim, sources)
        return Finding(Verdict.UNSUPPORTED if reason else Verdict.SUPPORTED, reason or "")


def coverage(claim: str, sources: Sequence[SourceUnit]) -> tuple[float, float]:
    """Shares in [0, 1] of the claim's content words: in all sources, and in the best one alone.

    What was looked up exactly, and words of courtesy that no source has, are left out of the count.
    """
    given = frozenset().union(*(unit.words for unit in sources))
    stated = facts(claim)
    words = words_of(stated.rest)
    words -= words_of(COURTESY_WORDS + _JOINTS) - given
    if not words:  # `It is €88.`: what there is was looked up
        return (1.0, 1.0) if stated.any else (0.0, 0.0)
    together = frozenset[int]()
    for anchors in _anchors(stated, sources):
        together |= max((words & unit.words for unit in anchors), key=len, default=frozenset())
    return len(words & given) / len(words), len(together) / len(words)


def borrowed(claim: str, sources: Sequence[SourceUnit]) -> bool:
    """Whether a claim with numbers has words that its sources use only far from these numbers.

    `The hold costs €88`, when the price is the cabin's and the hold is named further down. Near are
    the number's own sentence, the one before, the headings, and the first sentences of the passage.
    """
    stated = facts(claim)
    if not stated.quantities:
        return False
    near = frozenset[int]()
    for anchors in _anchors(stated, sources):
        for unit in anchors:
            place = sources.index(unit)
            near |= unit.words | sources[max(0, place - 1)].words
    near |= frozenset().union(*(unit.words for unit in sources if unit.opens))
    given = frozenset().union(*(unit.words for unit in sources))
    return bool((words_of(stated.rest) - words_of(COURTESY_WORDS + _JOINTS)) & given - near)


def _anchors(stated: Facts, sources: Sequence[SourceUnit]) -> list[list[SourceUnit]]:
    """For each number of the claim, the units that state it; all units, if it has none."""
    wanted = {(each.value, each.unit) for each in stated.quantities}
    found = [
        [
            unit
            for unit in sources
            if any((each.value, each.unit) == want for each in facts(unit.text).quantities)
        ]
        for want in wanted
    ]
    return [anchors for anchors in found if anchors] or [list(sources)]


def _unlike(claim: str, sources: Sequence[SourceUnit]) -> str | None:
    if borrowed(claim, sources):
        return "words from far off its numbers"
    covered, together = coverage(claim, sources)
    if covered >= MIN_COVERAGE and together >= MIN_TOGETHER:
        return None
    return f"words covered {covered:.2f}, in one place {together:.2f}"


def _lines(block: str) -> list[str]:
    """The claims of a block: the items of a list, the rows of a table, or the one sentence."""
    lines = [line for line in block.strip().split("\n") if line.strip()]
    if not any(line.lstrip().startswith("|") for line in lines):
        return lines
    table = "\n".join(line for line in lines if line.lstrip().startswith("|"))
    prose = [line for line in lines if not line.lstrip().startswith("|")]
    return [*prose, *(unit.text for unit in units(table))]
