"""Ten questions to answer before training: by the data where it can, else by people."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from finetune.errors import ConfigurationError

QUESTIONS_FILE = Path(__file__).with_name("checklist.toml")


class AnsweredBy(StrEnum):
    """Who has answered."""

    DATA = "the data"
    YOU = "you"
    NOBODY = "to be answered by you"


@dataclass(frozen=True, slots=True)
class Reply:
    """Yes or no, and why."""

    yes: bool
    because: str


@dataclass(frozen=True, slots=True)
class Item:
    """A question of the checklist and its reply; `good` is what a good answer holds."""

    key: str
    question: str
    good: str
    answered_by: AnsweredBy
    reply: Reply | None

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def questions() -> dict[str, dict[str, str]]:
    """Key -> `question` and `good`, in the order to be asked."""
    read: dict[str, dict[str, str]] = tomllib.loads(QUESTIONS_FILE.read_text(encoding="utf-8"))
    return read


def checklist(by_data: Mapping[str, Reply], by_people: Mapping[str, Reply]) -> list[Item]:
    """All ten. A no of the data stands; else people know more than the data shows."""
    items: list[Item] = []
    for key, texts in questions().items():
        shown, given = by_data.get(key), by_people.get(key)
        by_data_alone = shown is not None and (given is None or not shown.yes)
        reply = shown if by_data_alone else given
        who = AnsweredBy.DATA if by_data_alone else AnsweredBy.YOU if given else AnsweredBy.NOBODY
        items.append(Item(key, texts["question"], texts["good"], who, reply))
    return items


def read_answers(path: Path) -> dict[str, Reply]:
    """A TOML file with lines such as `latency_critical = { yes = false, because = "..." }`.

    Raises:
        ConfigurationError: the file cannot be read, or has unknown keys or incomplete answers.
    """
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # TOML and UTF-8
        raise ConfigurationError(f"{path}: not TOML: {error}") from error
    known = questions()
    wrong = [
        f"{key}: no such question; there are {', '.join(known)}" for key in read if key not in known
    ]
    wrong += [
        f'{key}: write it as {{ yes = true, because = "..." }}, with a reason'
        for key, value in read.items()
        if key in known and not _complete(value)
    ]
    if wrong:
        raise ConfigurationError("\n  ".join([f"{path}:", *wrong]))
    return {key: Reply(value["yes"], value["because"]) for key, value in read.items()}


def _complete(value: object) -> bool:
    if not isinstance(value, dict) or set(value) != {"yes", "because"}:
        return False
    because = value["because"]
    return isinstance(value["yes"], bool) and isinstance(because, str) and bool(because.strip())
