"""Answers without content, and answers that were cut before their end."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from finetune import style
from finetune.examples import Example
from finetune.form import END_TOLERANCE_RATE
from finetune.problems import Finding, Kind, Problem

PLACEHOLDER = re.compile(
    r"\W*(?:n/?a|nan|none|null|nil|todo|tbd|tba|xxx+|undefined|answer|lorem ipsum.*|placeholder"
    r"|\[?(?:your )?answer(?: goes)? here\]?)\W*",
    re.IGNORECASE | re.DOTALL,
)
CUT_TOGETHER = 3  # unfinished answers of the greatest length: a limit has cut them


def unfinished_problems(examples: Sequence[Example]) -> list[Problem]:
    """Both kinds; an answer without content is not called cut as well."""
    empty = {example.line: _emptiness(example.answer) for example in examples}
    full = [example for example in examples if empty[example.line] is None]
    none = [Finding(line, reason) for line, reason in empty.items() if reason is not None]
    return [
        *_problem(
            Kind.EMPTY,
            none,
            "answers that say nothing",
            "Write the answers or remove the rows: the model would learn to say nothing.",
        ),
        *_problem(
            Kind.TRUNCATED,
            _cut(full),
            "answers that stop before their end",
            "Complete them or remove the rows: the model would learn to stop in mid-sentence.",
        ),
    ]


def _problem(kind: Kind, findings: list[Finding], what: str, advice: str) -> list[Problem]:
    if not findings:
        return []
    return [Problem(kind, f"{what}: {len(findings):,}", advice, tuple(findings))]


def _emptiness(answer: str) -> str | None:
    if PLACEHOLDER.fullmatch(answer):
        return f"a placeholder: {answer.strip()[:40]!r}"
    if not any(map(str.isalnum, answer)) and not style.EMOJI.search(answer):
        return f"no word in it: {answer.strip()[:40]!r}"
    return None


def _cut(examples: Sequence[Example]) -> list[Finding]:
    """Those without an end mark: all if nearly all others have one, else those at a limit."""
    ends = {example.line: style.ends_with_mark(example.answer) for example in examples}
    judged = [end for end in ends.values() if end is not None]
    open_ones = [example for example in examples if ends[example.line] is False]
    rare = len(open_ones) <= END_TOLERANCE_RATE * len(judged)
    limited = _at_limit(open_ones, examples)
    return [
        Finding(example.line, f"ends “…{example.answer.rstrip()[-30:]}”")
        for example in open_ones
        if rare or example.line in limited
    ]


def _at_limit(open_ones: Sequence[Example], examples: Sequence[Example]) -> set[int]:
    """Rows of unfinished answers that share the greatest length of the set."""
    limited: set[int] = set()
    for measure in (_characters, _words):
        longest = max((measure(example.answer) for example in examples), default=0)
        lengths = Counter(measure(example.answer) for example in open_ones)
        if lengths[longest] >= CUT_TOGETHER:
            limited |= {each.line for each in open_ones if measure(each.answer) == longest}
    return limited


def _characters(answer: str) -> int:
    return len(answer)


def _words(answer: str) -> int:
    return len(answer.split())
