"""Facts that change, baked into answers: a trained model goes on stating the old ones."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from finetune.examples import Example, Role
from finetune.fact_patterns import JOINS_DIGITS, PATTERNS, SCALE, FactKind
from finetune.problems import Finding, Kind, Problem

ADVICE = "Retrieve them instead: keep the facts in documents, and in the answers only the manner."

# Around a fact found in the question: there, it must not be a part of a larger number or a range.
NOT_IN_A_NUMBER = rf"(?<!\w)(?<!\d[{JOINS_DIGITS}])"
NO_NUMBER_GOES_ON = rf"(?!\w)(?![{JOINS_DIGITS}]\d)(?! ?{SCALE}\b)"


@dataclass(frozen=True, slots=True)
class VolatileFact:
    """A fact in an answer; `line` is `Example.line`."""

    line: int
    kind: FactKind
    text: str


def facts_in(text: str) -> list[tuple[FactKind, str]]:
    """The facts that change in a text, in order; what one kind has claimed is no other's.

    >>> facts_in("From 3 May a bag is €25, paid within 24 hours.")
    ... # doctest: +NORMALIZE_WHITESPACE
    [(<FactKind.DATE: 'date'>, '3 May'), (<FactKind.PRICE: 'price'>, '€25'),
     (<FactKind.TIME_LIMIT: 'time limit'>, 'within 24 hours')]
    """
    taken: list[tuple[int, int, FactKind]] = []
    for kind, pattern in PATTERNS:
        for found in pattern.finditer(text):
            start, end = found.span()
            if all(end <= first or start >= last for first, last, _ in taken):
                taken.append((start, end, kind))
    return [(kind, text[start:end].strip()) for start, end, kind in sorted(taken)]


def volatile_facts(examples: Iterable[Example]) -> list[VolatileFact]:
    """Every such fact of every assistant turn, unless an earlier turn has the very same text.

    What stands in the question, or in passages given with it, is read there and not memorised.
    """
    return [fact for example in examples for fact in _of(example)]


def _of(example: Example) -> list[VolatileFact]:
    found: list[VolatileFact] = []
    given = ""
    for message in example.messages:
        if message.role is Role.ASSISTANT:
            found += [
                VolatileFact(example.line, kind, text)
                for kind, text in facts_in(message.content)
                if not _stands_in(text, given)
            ]
        given += "\n" + message.content.casefold()
    return found


def _stands_in(text: str, given: str) -> bool:
    """As whole words and numbers: `$5` stands in neither `$50`, `$5.50` nor `$5 million`."""
    folded = text.casefold()
    if folded not in given:  # the usual case, and spares compiling a pattern for each fact
        return False
    return re.search(f"{NOT_IN_A_NUMBER}{re.escape(folded)}{NO_NUMBER_GOES_ON}", given) is not None


def fact_problems(facts: Sequence[VolatileFact]) -> list[Problem]:
    """One problem with all of them, row by row."""
    if not facts:
        return []
    counts = Counter(fact.kind for fact in facts)
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in counts.most_common())
    rows = len({fact.line for fact in facts})
    return [
        Problem(
            Kind.VOLATILE_FACTS,
            f"{len(facts):,} in {rows:,} of the rows: {kinds}",
            ADVICE,
            tuple(Finding(fact.line, f"{fact.kind}: {fact.text}") for fact in facts),
        )
    ]
