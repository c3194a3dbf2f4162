"""The same example more than once, and examples that the validation file holds too."""

from __future__ import annotations

from collections.abc import Sequence

from finetune.examples import Example, Role
from finetune.problems import Finding, Kind, Problem
from finetune.similarity import near_pairs, normalised


def duplicate_problems(examples: Sequence[Example]) -> list[Problem]:
    """Rows that repeat an earlier one, to the letter or nearly; system messages do not count."""
    first: dict[str, Example] = {}
    exact: list[Finding] = []
    for example in examples:
        earlier = first.setdefault(normalised(_conversation(example)), example)
        if earlier is not example:
            exact.append(Finding(example.line, f"the same as row {earlier.line}"))
    return [
        *_problem(
            Kind.EXACT_DUPLICATES,
            exact,
            "rows that repeat an earlier one",
            "Remove them: what is seen twice is learned by heart.",
        ),
        *_problem(
            Kind.NEAR_DUPLICATES,
            _near(list(first.values())),
            "rows nearly the same as an earlier one",
            "Remove them or write them anew: variety is what carries over to new questions.",
        ),
    ]


def leakage_problems(examples: Sequence[Example], validation: Sequence[Example]) -> list[Problem]:
    """Training rows whose question the validation file asks too, or nearly the same example."""
    if not validation:
        return []
    asked = {normalised(_question(each)): each for each in reversed(validation)}
    found: dict[int, str] = {}
    for place, example in enumerate(examples):
        same = asked.get(normalised(_question(example)))
        if same is not None:
            found[place] = f"asks what row {same.line} of the validation file asks"
    texts = [_conversation(each) for each in (*examples, *validation)]
    count = len(examples)
    for earlier, later, score in near_pairs(texts, across=count):
        if earlier not in found:
            line = validation[later - count].line
            found[earlier] = f"{score:.0%} the same as row {line} of the validation file"
    return _problem(
        Kind.LEAKAGE,
        [Finding(examples[place].line, detail) for place, detail in sorted(found.items())],
        "rows that the validation file has too",
        "Remove them from one of the files: the validation loss would measure memory.",
    )


def _near(examples: Sequence[Example]) -> list[Finding]:
    """Each row once, with the earlier one that it resembles most."""
    closest: dict[int, tuple[float, int]] = {}
    for earlier, later, score in near_pairs([_conversation(each) for each in examples]):
        closest[later] = max(closest.get(later, (0.0, 0)), (score, -earlier))
    return [
        Finding(examples[later].line, f"{score:.0%} the same as row {examples[-earlier].line}")
        for later, (score, earlier) in sorted(closest.items())
    ]


def _problem(kind: Kind, findings: list[Finding], what: str, advice: str) -> list[Problem]:
    if not findings:
        return []
    return [Problem(kind, f"{what}: {len(findings):,}", advice, tuple(findings))]


def _conversation(example: Example) -> str:
    """Without the system message, which all examples of a set may share."""
    turns = (each.content for each in example.messages if each.role is not Role.SYSTEM)
    return "\n".join(turns)


def _question(example: Example) -> str:
    """All before the answer, without the system message."""
    turns = (each.content for each in example.messages[:-1] if each.role is not Role.SYSTEM)
    return "\n".join(turns)
