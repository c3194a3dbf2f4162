"""The parts below `parts/` -> examples of each voice, split for training.

    python -m starter.voices.write_voices

A turn is what a user says, and what each voice has to say to just that. A situation may add
closings, sentences that fit each of its turns, which its answers take by turns. Both voices answer
the same turns. The same parts give the same bytes.
"""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from starter.voices.situations import Situation, Turn, Voice, read_situations, read_voices
from starter.writing_files import write_files

FOLDER = Path(__file__).parent
SEED = 4
VALIDATION_RATE = 0.1  # of the turns, in whole situations
PLACE = re.compile(r"\{(\w+)\}")  # where a passage's marker will stand: {key}

Example = dict[str, list[dict[str, str]]]
Item = TypeVar("Item")


def main() -> None:
    """Write every voice's files beside this module, and say how many examples each holds."""
    write_files(FOLDER, files())


def files() -> dict[str, str]:
    """File name -> its text: `VOICE.train.jsonl` and `VOICE.validation.jsonl` for every voice."""
    situations = read_situations()
    validation = _held_back(situations)
    written: dict[str, str] = {}
    for voice in read_voices():
        parts: dict[str, list[Example]] = {"train": [], "validation": []}
        for situation in situations:
            split = "validation" if situation.name in validation else "train"
            parts[split] += examples(situation, voice)
        for split, rows in parts.items():
            random.Random(SEED).shuffle(rows)
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            written[f"{voice.name}.{split}.jsonl"] = "".join(lines)
    return written


def examples(situation: Situation, voice: Voice) -> list[Example]:
    """One example a turn, in the order of the parts."""
    chance = random.Random(f"{SEED} {situation.name}")
    orders = [_shuffled(situation.passages, chance) for _ in situation.turns]
    closings = _round(situation.closings[voice.name], chance)
    sign_offs = {tone: _round(texts, chance) for tone, texts in voice.sign_offs.items()}
    rows = []
    for turn, order in zip(situation.turns, orders, strict=True):
        closing = "" if turn.alone else next(closings)
        sign_off = next(sign_offs[turn.tone]) if sign_offs else ""
        rows.append(_example(situation, turn, voice, order=order, ending=(closing, sign_off)))
    return rows


def _example(
    situation: Situation, turn: Turn, voice: Voice, *, order: Sequence[str], ending: Sequence[str]
) -> Example:
    opening = "" if turn.held else voice.not_held
    answer = " ".join(part for part in (opening, turn.own[voice.name], *ending) if part)
    blocks = [
        f'<passage number="{number}" from="{situation.passages[key].source}">\n'
        f"{situation.passages[key].text}\n</passage>"
        for number, key in enumerate(order, start=1)
    ]
    contents = {
        "system": "\n\n".join([voice.system, *blocks]),
        "user": turn.user,
        "assistant": PLACE.sub(lambda place: f"[{order.index(place[1]) + 1}]", answer),
    }
    return {"messages": [{"role": role, "content": text} for role, text in contents.items()]}


def _held_back(situations: Sequence[Situation]) -> set[str]:
    """Names of situations that together hold `VALIDATION_RATE` of the turns, theme by theme."""
    themes = sorted({situation.theme for situation in situations})
    wanted = VALIDATION_RATE * sum(len(situation.turns) for situation in situations)
    chance = random.Random(SEED)
    by_theme = {
        theme: _shuffled([each for each in situations if each.theme == theme], chance)
        for theme in _shuffled(themes, chance)
    }
    names: set[str] = set()
    held = 0
    for theme in itertools.cycle(by_theme):
        if held >= wanted:
            return names
        if len(by_theme[theme]) > 1:  # a theme is always trained on, too
            situation = by_theme[theme].pop()
            names.add(situation.name)
            held += len(situation.turns)
    return names


def _round(texts: Sequence[str], chance: random.Random) -> Iterator[str]:
    """Each text once before any a second time, for ever; nothing, when there are none."""
    return itertools.cycle(_shuffled(texts, chance) or [""])


def _shuffled(items: Iterable[Item], chance: random.Random) -> list[Item]:
    shuffled = list(items)
    chance.shuffle(shuffled)
    return shuffled


if __name__ == "__main__":
    main()
