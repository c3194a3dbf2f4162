"""The thirty-second version: six questions in order, and the first that decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from router.use_case import FAST_BELOW_MS, LORA_FROM
from router.values import ValueFormatError, count, limit, yes_or_no


class Advice(StrEnum):
    """What the six questions can come to."""

    RAG = "RAG"
    LORA = "LoRA"
    FEW_SHOT = "RAG + few-shot"
    FINE_TUNE = "Consider fine-tuning"


@dataclass(frozen=True, slots=True)
class QuickQuestion:
    """One of the six: its name (and flag), the question, and why it is asked."""

    name: str
    text: str
    why: str
    read: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class QuickResult:
    """The advice, the number of the question that decided it, why, and what else to know."""

    advice: Advice
    decided_by: int
    because: str
    note: str | None = None

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class MissingAnswerError(Exception):
    """A question was reached that nobody answered; `name` is the question's."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no answer to {name!r}")
        self.name = name


def few_examples(text: str) -> bool:
    """Whether there are fewer than 100: yes or no, or the number itself.

    >>> few_examples("60"), few_examples("200 examples"), few_examples("no")
    (True, False, False)
    """
    if text.strip() == "0":
        raise ValueFormatError("'0' may be no or a number; write no, or `0 examples`")
    if text.strip()[:1].isdigit():
        return count(text, of="examples") < LORA_FROM
    return _yes_or(text, "a number of examples")


def fast(text: str) -> bool:
    """Whether answers must come in under 100 ms: yes or no, or the limit itself.

    >>> fast("50 ms"), fast("2s"), fast("yes")
    (True, False, True)
    """
    if any(letter.isdigit() for letter in text):
        return limit(text).under(FAST_BELOW_MS)
    return _yes_or(text, "a limit such as 50ms")


def _yes_or(text: str, other: str) -> bool:
    try:
        return yes_or_no(text)
    except ValueFormatError as error:
        raise ValueFormatError(f"{error}, or {other}") from error


QUESTIONS = (
    QuickQuestion(
        "information-changes",
        "Does the information change?",
        "What is trained stays as it was; what is retrieved is as new as the documents.",
        yes_or_no,
    ),
    QuickQuestion(
        "needs-citations",
        "Must answers cite their sources?",
        "Only retrieved passages can be cited; a model doesn't know where it knows things from.",
        yes_or_no,
    ),
    QuickQuestion(
        "needs-style",
        "Do you need a style of your own, the same in every answer?",
        "Style is behaviour, and behaviour can be trained.",
        yes_or_no,
    ),
    QuickQuestion(
        "few-examples",
        "Do you have fewer than 100 examples?",
        "Fewer are not enough to train an adapter on.",
        few_examples,
    ),
    QuickQuestion(
        "under-100ms",
        "Must answers come in under 100 ms?",
        "Retrieval takes time that such a limit doesn't leave.",
        fast,
    ),
    QuickQuestion(
        "unsure",
        "Are you unsure?",
        "What can be undone any day is the better first step.",
        yes_or_no,
    ),
)
_NUMBERS = {question.name: number for number, question in enumerate(QUESTIONS, start=1)}
LATER = (
    "RAG now. `twofold decide analyze` would add whether your examples are enough for LoRA beside "
    "it, which keeps the style, and what both cost together"
)

Ask = Callable[[QuickQuestion], bool]


def from_answers(answers: Mapping[str, bool]) -> Ask:
    """Answers that were given before; a question without one raises MissingAnswerError."""

    def ask(question: QuickQuestion) -> bool:
        if question.name not in answers:
            raise MissingAnswerError(question.name)
        return answers[question.name]

    return ask


def decide_quickly(ask: Ask, *, style_given: bool | None = None) -> QuickResult:
    """Ask in order until one decides.

    1 or 2 → RAG · 3 → LoRA, or what 4 says when there are few examples · 4 → RAG with few-shot
    examples · 5 → consider fine-tuning · 6 → RAG, as without any yes.
    `style_given` is the answer to 3 where it was given although 1 or 2 decides.
    """
    changes, citations, style, few, under, unsure = QUESTIONS
    for question, because in (
        (changes, "information that changes is retrieved"),
        (citations, "only what is retrieved can be cited"),
    ):
        if ask(question):
            return _result(question, Advice.RAG, because, LATER if style_given else None)
    styled = ask(style)
    if ask(few):
        asked = "a style asks for LoRA, and " if styled else ""
        because = f"{asked}fewer than {LORA_FROM} examples are too few to train on; show some"
        return _result(few, Advice.FEW_SHOT, f"{because} in the prompt")
    if styled:
        return _result(style, Advice.LORA, "style is behaviour, and there are enough examples")
    if ask(under):
        return _result(under, Advice.FINE_TUNE, "under 100 ms there is no time to retrieve")
    why = "you are unsure" if ask(unsure) else "nothing asks for training"
    return _result(unsure, Advice.RAG, f"{why}, and RAG can be changed any day")


def _result(
    question: QuickQuestion, advice: Advice, because: str, note: str | None = None
) -> QuickResult:
    return QuickResult(advice, _NUMBERS[question.name], because, note)
