"""The hand-written parts: voices, and situations of turns that they answer."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PARTS = Path(__file__).parent / "parts"
VOICES = PARTS / "voices.toml"


@dataclass(frozen=True, slots=True)
class Voice:
    """What all answers of a brand have in common; `sign_offs` are those of each tone."""

    name: str
    system: str
    not_held: str
    sign_offs: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class SourceText:
    """A made-up passage and the page that it stands on."""

    source: str
    text: str


@dataclass(frozen=True, slots=True)
class Turn:
    """What a user says, and each voice's own words for it.

    `held` is false where the question is about passages that do not hold its answer. `tone` says
    which of a voice's sign-offs suit it. An answer that stands `alone` takes no closing.
    """

    user: str
    own: Mapping[str, str]
    held: bool
    tone: str
    alone: bool


@dataclass(frozen=True, slots=True)
class Situation:
    """Turns that belong together; never split between training and validation.

    `closings` holds, for each voice, sentences that fit each of the turns; an answer that does not
    stand alone ends with one of them.
    """

    name: str
    theme: str
    turns: tuple[Turn, ...]
    passages: Mapping[str, SourceText]
    closings: Mapping[str, tuple[str, ...]]


def read_voices() -> list[Voice]:
    """The voices, in the order of their file."""
    return [
        Voice(
            name=name,
            system=row["system"],
            not_held=row["not_held"],
            sign_offs={tone: tuple(texts) for tone, texts in row.get("sign_offs", {}).items()},
        )
        for name, row in _toml(VOICES).items()
    ]


def read_situations() -> list[Situation]:
    """Every situation, theme by theme.

    Raises:
        ValueError: a name or a user's text stands twice; says which.
        KeyError: a turn lacks one of the voices.
    """
    voices = [voice.name for voice in read_voices()]
    found = [
        _situation(path.stem, row, voices)
        for path in sorted(PARTS.glob("*.toml"))
        if path != VOICES
        for row in _toml(path)["situation"]
    ]
    problems = _repetitions(found)
    if problems:
        raise ValueError(f"{PARTS}: " + "; ".join(problems) + "; write one of each another way")
    return found


def _situation(theme: str, row: Mapping[str, Any], voices: list[str]) -> Situation:
    return Situation(
        name=row["name"],
        theme=theme,
        turns=tuple(
            Turn(
                user=turn["user"],
                own={voice: turn[voice] for voice in voices},
                held=turn.get("held", True),
                tone=turn.get("tone", row.get("tone", "bright")),
                alone=turn.get("alone", False),
            )
            for turn in row["turn"]
        ),
        passages={
            key: SourceText(source=passage["from"], text=passage["text"])
            for key, passage in row.get("passages", {}).items()
        },
        closings={voice: tuple(row.get(voice, {}).get("closings", ())) for voice in voices},
    )


def _repetitions(situations: list[Situation]) -> list[str]:
    names = [situation.name for situation in situations]
    said = [turn.user for situation in situations for turn in situation.turns]
    return [f"{text!r} stands twice" for text in _repeated(names) + _repeated(said)]


def _repeated(texts: list[str]) -> list[str]:
    return sorted({text for text in texts if texts.count(text) > 1})


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
