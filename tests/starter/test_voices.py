"""The starter voices: enough of each, in register, free of facts that change, and reproducible."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from starter import bundle
from starter.voices.situations import PARTS, Situation, Turn, Voice, read_situations
from starter.voices.write_voices import FOLDER, examples, files

VOICES = ("meridian", "skylark")
MARKER = re.compile(r"\[(\d)\]")
PASSAGE = re.compile(r'<passage number="(\d)" from="[^"]+">\n.+\n</passage>')
MONTHS = (
    "January|February|March|April|May|June|July|August|September|October|November|December"
    "|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec"
)
NUMBERS = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty"
    "|fifty|sixty|ninety|hundred"
)
UNITS = (
    "minutes?|hours?|days?|weeks?|months?|years?|euros?|pounds?|dollars?|kilos?|kilograms?"
    "|centimetres?|metres?|kilometres?|points?|miles?"
)
VOLATILE = re.compile(
    rf"\d|[%€£$¥]|\b(?i:per ?cent|percent(?:age)?)\b|\b(?:{MONTHS})\b"
    rf"|\b(?i:(?:{NUMBERS})[ -](?:{UNITS}))\b|https?:|www\.|@"
)
CONTRACTION = re.compile(
    r"\w(?:n't|'(?:re|ll|ve|m|d))\b|\b(?:it|that|there|here|what|who|where|how|let|he|she)'s\b",
    re.IGNORECASE,
)
APOSTROPHE = re.compile(r"\w'\w")


@dataclass(frozen=True, slots=True)
class Row:
    """One example, read from a file as it stands."""

    system: str
    user: str
    answer: str


def read(voice: str, split: str) -> list[Row]:
    text = (FOLDER / f"{voice}.{split}.jsonl").read_text(encoding="utf-8")
    rows = []
    for line in text.splitlines():
        messages = json.loads(line)["messages"]
        assert [message["role"] for message in messages] == ["system", "user", "assistant"]
        rows.append(Row(*(message["content"] for message in messages)))
    return rows


@pytest.fixture(scope="module", params=VOICES)
def rows(request: pytest.FixtureRequest) -> list[Row]:
    return read(request.param, "train") + read(request.param, "validation")


@pytest.fixture(scope="module")
def meridian() -> list[Row]:
    return read("meridian", "train") + read("meridian", "validation")


@pytest.fixture(scope="module")
def skylark() -> list[Row]:
    return read("skylark", "train") + read("skylark", "validation")


def grams(text: str) -> frozenset[str]:
    text = " ".join(text.casefold().split())
    return frozenset(text[start : start + 5] for start in range(len(text) - 4))


def test_files_are_what_the_script_writes() -> None:
    for name, text in files().items():
        assert (FOLDER / name).read_bytes() == text.encode("utf-8"), name


@pytest.mark.parametrize("voice", VOICES)
def test_counts_are_enough_to_train_and_to_validate(voice: str) -> None:
    train, validation = len(read(voice, "train")), len(read(voice, "validation"))
    assert train >= 600
    assert 0.09 <= validation / (train + validation) <= 0.12
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"{train} to train, {validation} to validate" in readme


def test_size_stays_small() -> None:
    assert sum((FOLDER / name).stat().st_size for name in files()) < 2_500_000


@pytest.mark.parametrize("voice", VOICES)
def test_split_shares_no_situation(voice: str) -> None:
    train = {row.user for row in read(voice, "train")}
    for situation in read_situations():
        users = {turn.user for turn in situation.turns}
        assert users <= train or not users & train, situation.name


def test_user_texts_are_unique(rows: list[Row]) -> None:
    users = [row.user.casefold() for row in rows]
    assert len(set(users)) == len(users)


def test_user_texts_are_no_questions_that_models_are_measured_on(rows: list[Row]) -> None:
    asked = {question.question.casefold() for question in bundle.read_questions()}
    assert not asked & {row.user.casefold() for row in rows}


def test_answers_are_no_near_duplicates(rows: list[Row]) -> None:
    described = [(grams(row.answer), row.answer) for row in rows]
    for (left, one), (right, other) in itertools.combinations(described, 2):
        shared = len(left & right)
        assert shared / (len(left) + len(right) - shared) <= 0.55, (one, other)


def test_answers_hold_no_fact_that_changes(rows: list[Row]) -> None:
    found = [
        (match[0], row.answer)
        for row in rows
        if (match := VOLATILE.search(MARKER.sub("", row.answer)))
    ]
    assert found == []


def test_answers_start_with_a_capital_and_stand_in_one_paragraph(rows: list[Row]) -> None:
    assert [row.answer for row in rows if not row.answer[0].isupper() or "\n" in row.answer] == []
    assert [row.answer for row in rows if "  " in row.answer or "{" in row.answer] == []


def test_markers_point_at_passages_of_the_system_turn(rows: list[Row]) -> None:
    for row in rows:
        shown = PASSAGE.findall(row.system)
        assert shown == [str(number) for number in range(1, len(shown) + 1)]
        assert set(MARKER.findall(row.answer)) <= set(shown), row.answer


def test_passages_are_cited_unless_they_do_not_hold_the_answer(rows: list[Row]) -> None:
    for row in rows:
        if "<passage" in row.system:
            unheld = row.answer.startswith(
                ("The documents do not say.", "The documents don't say.")
            )
            assert unheld != bool(MARKER.search(row.answer)), row.answer


def test_meridian_is_formal(meridian: list[Row]) -> None:
    for row in meridian:
        assert row.system.startswith("You write in the voice of Meridian.")
        assert "!" not in row.answer, row.answer
        assert not CONTRACTION.search(row.answer), row.answer
        assert re.search(r"\.(?: \[\d\])*$", row.answer), row.answer


def test_skylark_contracts_and_ends_with_its_one_exclamation_mark(skylark: list[Row]) -> None:
    for row in skylark:
        assert row.system.startswith("You write in the voice of Skylark.")
        assert APOSTROPHE.search(row.answer), row.answer
        assert row.answer.count("!") == 1, row.answer
        assert row.answer.endswith("!"), row.answer


def test_both_voices_answer_the_same_turns(meridian: list[Row], skylark: list[Row]) -> None:
    assert [row.user for row in meridian] == [row.user for row in skylark]
    assert not {row.answer for row in meridian} & {row.answer for row in skylark}


def test_answers_hold_no_emoji(rows: list[Row]) -> None:
    assert [
        row.answer for row in rows if re.search(r"[\u2190-\uffff]|[^\u0000-\uffff]", row.answer)
    ] == []


def test_closings_are_taken_by_turns_and_not_by_answers_that_stand_alone() -> None:
    voice = Voice(name="plain", system="S", not_held="No.", sign_offs={})
    turns = tuple(
        Turn(user=f"{number}", own={"plain": "A."}, held=True, tone="bright", alone=number == 0)
        for number in range(5)
    )
    closings = {"plain": ("B.", "C.")}
    situation = Situation(name="s", theme="t", turns=turns, passages={}, closings=closings)
    answers = [row["messages"][-1]["content"] for row in examples(situation, voice)]
    assert sorted(answers) == ["A.", "A. B.", "A. B.", "A. C.", "A. C."]


def test_a_text_that_stands_twice_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = '[[situation.turn]]\nuser = "Hi."\nmeridian = "M."\nskylark = "S."\n'
    (tmp_path / "a.toml").write_text(f'[[situation]]\nname = "a"\n{turn}{turn}')
    monkeypatch.setattr("starter.voices.situations.PARTS", tmp_path)
    with pytest.raises(ValueError, match=r"'Hi\.' stands twice"):
        read_situations()


def test_every_part_is_read() -> None:
    themes = {situation.theme for situation in read_situations()}
    assert themes == {path.stem for path in PARTS.glob("*.toml")} - {"voices"}
