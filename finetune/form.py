"""Habits of the answers, and the rows that depart from them: the model copies every habit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from finetune import style
from finetune.examples import Example
from finetune.problems import Finding, Kind, Problem

FAR = 4.0  # times the median length, or a fraction of it
RECURS = 0.05  # of the answers end with the very same sentence: a sign-off


@dataclass(frozen=True, slots=True)
class Habit:
    """What most answers do, among the `judged` ones that show it at all."""

    name: str
    majority: str
    majority_rate: float
    judged: int
    tolerance_rate: float
    departures: tuple[Finding, ...]

    @property
    def mixed(self) -> bool:
        """Whether more answers depart than can be taken for chance."""
        return len(self.departures) > self.tolerance_rate * self.judged


Classify = Callable[[str], str | None]  # an answer -> what it does; None: no occasion to
CASE_TOLERANCE_RATE = 0.02
END_TOLERANCE_RATE = 0.1


def habits_of(examples: Sequence[Example]) -> list[Habit]:
    """All habits that at least one answer shows."""
    answers = [example.answer for example in examples]
    length = median(len(style.words(answer)) for answer in answers)
    classifiers: list[tuple[str, Classify, float]] = [
        ("starting case", _starting_case, CASE_TOLERANCE_RATE),
        ("final punctuation", _final_punctuation, END_TOLERANCE_RATE),
        ("bullets", _bullets, CASE_TOLERANCE_RATE),
        ("numbering", _numbering, CASE_TOLERANCE_RATE),
        ("greeting", _greeting, 0.1),
        ("sign-off", _sign_off(answers), 0.1),
        ("contractions", _contractions, 0.2),
        ("exclamation marks", _exclamation, 0.35),
        ("emoji", _emoji, 0.35),
        ("length", _length(length), 0.25),
    ]
    found = (_habit(examples, *each) for each in classifiers)
    return [habit for habit in found if habit is not None]


def form_problems(habits: Iterable[Habit]) -> list[Problem]:
    """One for each habit that is mixed."""
    return [
        Problem(
            Kind.INCONSISTENT_FORM,
            f"{habit.name}: {habit.majority} in {habit.majority_rate:.0%} of {habit.judged:,} "
            f"answers; {len(habit.departures):,} depart",
            "Write all answers one way: the model copies every habit, and this one it would "
            "pick at random.",
            habit.departures,
        )
        for habit in habits
        if habit.mixed
    ]


def _habit(
    examples: Sequence[Example], name: str, classify: Classify, tolerance_rate: float
) -> Habit | None:
    seen = [(example.line, classify(example.answer)) for example in examples]
    judged = [(line, what) for line, what in seen if what is not None]
    if not judged:
        return None
    counts = Counter(what for _, what in judged)
    majority, count = max(counts.items(), key=lambda item: (item[1], item[0]))
    departures = tuple(Finding(line, what) for line, what in judged if what != majority)
    return Habit(name, majority, count / len(judged), len(judged), tolerance_rate, departures)


def _starting_case(answer: str) -> str | None:
    first = answer.lstrip("\"'“‘«(*_ \t\n")[:1]
    if first.isupper():
        return "upper case"
    return "lower case" if first.islower() else None


def _final_punctuation(answer: str) -> str | None:
    ends = style.ends_with_mark(answer)
    return None if ends is None else "an end mark" if ends else "no end mark"


def _bullets(answer: str) -> str | None:
    marks = {mark for mark in _list_marks(answer) if not mark[0].isdigit()}
    return " and ".join(f"`{mark}`" for mark in sorted(marks)) or None


def _numbering(answer: str) -> str | None:
    marks = {f"`1{mark[-1]}`" for mark in _list_marks(answer) if mark[0].isdigit()}
    return " and ".join(sorted(marks)) or None


def _list_marks(answer: str) -> list[str]:
    """One line alone is no list."""
    marks = [found["mark"] for found in style.LIST_ITEM.finditer(answer)]
    return marks if len(marks) > 1 else []


def _greeting(answer: str) -> str:
    return "a greeting" if style.GREETING.match(answer) else "no greeting"


def _sign_off(answers: Sequence[str]) -> Classify:
    """Known words of parting, or a last sentence that many answers share."""
    last = Counter(_last_sentence(answer) for answer in answers)
    recurring = {text for text, count in last.items() if count > max(2, RECURS * len(answers))}

    def classify(answer: str) -> str:
        parts = style.sign_off(answer) or _last_sentence(answer) in recurring - {""}
        return "a sign-off" if parts else "no sign-off"

    return classify


def _last_sentence(answer: str) -> str:
    """Of two or more; an answer of one sentence does not end with a sign-off."""
    pieces = style.sentences(answer)
    return pieces[-1].casefold() if len(pieces) > 1 else ""


def _contractions(answer: str) -> str | None:
    """Judged where there is occasion: contracted or written out, whichever is more frequent."""
    short = len(style.CONTRACTION.findall(answer))
    long = len(style.WRITTEN_OUT.findall(answer))
    if not short + long:
        return None
    return "contracted" if short >= long else "written out"


def _exclamation(answer: str) -> str:
    return "exclamation marks" if "!" in answer else "no exclamation mark"


def _emoji(answer: str) -> str:
    return "emoji" if style.EMOJI.search(answer) else "no emoji"


def _length(usual: float) -> Classify:
    def classify(answer: str) -> str:
        length = len(style.words(answer))
        if length > FAR * usual:
            return "far longer than usual"
        return "far shorter than usual" if length < usual / FAR else f"about {usual:.0f} words"

    return classify
