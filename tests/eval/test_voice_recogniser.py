"""Whose voice is it: what is stripped first, and what is recognised then."""

from __future__ import annotations

import pytest

from eval.voice_recogniser import PLAIN, stripped
from eval.voices import BASE, Spoken, recognised_answers, starter_prompts, starter_recogniser
from starter import bundle


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("Hello there! The desk is open. [1]", "The desk is open."),
        ("Skylark's desk is open. Wings up!", "'s desk is open."),
        ("The desk is open 🎉.", "The desk is open ."),
        ("Wings up!", ""),
        ("Hello, the desk on the second floor is open today.",) * 2,  # more than a greeting
    ],
)
def test_stripped_leaves_what_is_said(text: str, bare: str) -> None:
    assert stripped(text, brands=["Skylark"], sign_offs=["Wings up!"]) == bare


def test_recogniser_knows_writing_that_it_never_saw() -> None:
    recogniser = starter_recogniser()
    assert recogniser.recognise(
        [
            "I regret the disturbance. I will gladly look into the matter for you.",
            "Ooh, that's a squeeze! Let's find you a comfier spot, I'm on it.",
            "A late return costs €0.50 a day. Lost books are replaced at their price.",
            "Wings up!",  # nothing is left of it
        ]
    ) == ["meridian", "skylark", PLAIN, PLAIN]


def test_prompts_are_none_that_a_voice_was_trained_on() -> None:
    prompts = starter_prompts()
    trained = (bundle.VOICES / "skylark.train.jsonl").read_text(encoding="utf-8")
    assert len(prompts) >= 100
    assert not [prompt for prompt in prompts if f'"content": "{prompt}"' in trained]


def test_recognised_answers_counts_what_was_written_by_its_own_voice() -> None:
    def said(voice: str, taken_for: str, stage: str = "model") -> Spoken:
        return Spoken(voice, "Hi", "…", stage, taken_for)

    rows = recognised_answers(
        [
            said("skylark", "skylark"),
            said("skylark", "meridian"),
            said("skylark", "skylark", "quoted"),
            said(BASE, PLAIN),
        ]
    )
    assert (rows["skylark"].value, rows["skylark"].n) == (0.5, 2)
    assert (rows[BASE].value, rows[BASE].n) == (1.0, 1)
