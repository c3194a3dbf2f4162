"""Are the voices told apart? Each prompt is asked in all; a classifier says whose an answer is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from eval.errors import EvaluationError
from eval.intervals import Estimate, proportion
from eval.voice_recogniser import PLAIN, VoiceRecogniser
from starter import bundle
from starter.voices.situations import read_voices

BASE = "base model"


@dataclass(frozen=True, slots=True)
class Spoken:
    """An answer in a voice, or of the base model, and the voice that it was taken for."""

    voice: str
    prompt: str
    text: str
    stage: str
    taken_for: str

    def record(self) -> dict[str, Any]:
        """For a result file."""
        return asdict(self)


def starter_recogniser() -> VoiceRecogniser:
    """Taught by the starter voices' training examples and the written help centres."""
    voices = read_voices()
    texts: dict[str, list[str]] = {
        voice.name: [answer for _, answer in _turns(voice.name, "train")] for voice in voices
    }
    longest = max(len(written) for written in texts.values())
    passages = bundle.read_written_passages(trained_on=True)
    texts[PLAIN] = [row.passage for row in passages][:longest]
    sign_offs = [text for voice in voices for texts in voice.sign_offs.values() for text in texts]
    return VoiceRecogniser.learn(texts, sign_offs=sign_offs)


def recognised_writing(recogniser: VoiceRecogniser) -> Mapping[str, Estimate]:
    """By voice, the share of the written examples kept for validation that it is right about."""
    rows = {}
    for voice in recogniser.brands:
        written = [answer for _, answer in _turns(voice, "validation")]
        rows[voice] = _right(recogniser.recognise(written), voice)
    return rows


def starter_prompts() -> list[str]:
    """What no voice was trained on: held-out turns, and questions that ask for free text."""
    first = read_voices()[0].name
    prompts = [prompt for prompt, _ in _turns(first, "validation") if prompt]
    prompts += [
        question.question
        for question in bundle.read_questions(split="test")
        if question.route == "fine_tuned"
    ]
    return list(dict.fromkeys(prompts))


def ask_voices(
    client: httpx.Client, prompts: Sequence[str], recogniser: VoiceRecogniser
) -> Iterator[Spoken]:
    """Every prompt in every voice and of the base model, on the fine-tuned route.

    Raises:
        EvaluationError: the server has no such voice, or answers with an error.
    """
    for voice in (*recogniser.brands, BASE):
        model = "twofold:fine_tuned" if voice == BASE else f"twofold:fine_tuned@{voice}"
        for prompt in prompts:
            body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
            response = client.post("/v1/chat/completions", json=body)
            if response.is_error:
                raise EvaluationError(f"{model}: {response.text}")
            reply = response.json()
            text = reply["choices"][0]["message"]["content"]
            stage = reply["twofold"]["stage"]
            yield Spoken(voice, prompt, text, stage, recogniser.recognise([text])[0])


def recognised_answers(spoken: Sequence[Spoken]) -> Mapping[str, Estimate]:
    """By voice, the share of its own answers that are taken for it; the base model's for none.

    What was quoted instead of written counts for no voice, and is left out.
    """
    rows = {}
    for voice in dict.fromkeys(item.voice for item in spoken):
        written = [item for item in spoken if item.voice == voice and item.stage == "model"]
        if written:
            wanted = PLAIN if voice == BASE else voice
            rows[voice] = _right([item.taken_for for item in written], wanted)
    return rows


def _right(found: Sequence[str], wanted: str) -> Estimate:
    return proportion(sum(voice == wanted for voice in found), len(found))


def _turns(voice: str, part: str) -> list[tuple[str, str]]:
    """(prompt, answer) of a voice's examples; the prompt is empty where passages go with it."""
    path: Path = bundle.VOICES / f"{voice}.{part}.jsonl"
    turns = []
    for line in path.read_text(encoding="utf-8").splitlines():
        *before, answer = json.loads(line)["messages"]
        reads = any("<passage" in message["content"] for message in before)
        turns.append(("" if reads else before[-1]["content"], answer["content"]))
    return turns
