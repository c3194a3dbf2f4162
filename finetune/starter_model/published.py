"""Published sets that may train shipped weights, as conversations: quoted answers and free text.

`DIR/retrieval/NAME` holds sets in BEIR layout whose questions carry the wordings of their answers,
`DIR/instruction` prompts with completions, `DIR/docs` pages in Markdown.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

from finetune.errors import ExamplesError
from finetune.examples import Example
from finetune.retrieval_data import SETS, judged
from finetune.starter_model.grounded import NOT_IN_DOCUMENTS, conversation, numbered, place

HELD_OUT_PAGES = "fastapi"  # whose pages nothing is trained on: answers about them are measured
HELD_OUT_PART = 20  # one document in so many
NEIGHBOURS = 40  # questions before and after
TRIES = 200  # to find passages that do not overlap
LONGEST_ANSWER_WORDS = 45
LONGEST_FREE_TEXT_WORDS = 90
UNANSWERABLE_RATE = 0.15
FREE_TEXT = ("common", "samsum")  # P3 templates that ask for short texts
MARKER = re.compile(r"\[(\d+)\]")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”)]*\s+")


@dataclass(frozen=True, slots=True)
class Quoted:
    """A question and the passage that holds the sentence which answers it."""

    source: str
    question: str
    title: str
    before: str
    sentence: str
    after: str

    def passage(self, rng: random.Random, *, long: bool) -> tuple[str, str]:
        """(path, text): the sentence and its neighbours."""
        before = _split(self.before)[-rng.choice([1, 2, 3] if long else [1]) :]
        after = _split(self.after)[: rng.choice([1, 2, 3] if long else [1])]
        return self.title, " ".join([*before, self.sentence, *after])


def quoted(data: Path, *, held_out: bool = False) -> list[Quoted]:
    """Every question whose answer stands in one sentence that is not too long to quote.

    A twentieth of the documents is held out: asked for, it is what comes, and nothing else.

    Raises:
        ExamplesError: a set is missing.
    """
    found = []
    for name in SETS:
        try:
            documents, questions = judged(data / "retrieval" / name)
        except OSError as error:
            raise ExamplesError(
                f"no set {name!r} below {data}: {error}; --data takes the folder that holds "
                "retrieval/, instruction/ and docs/"
            ) from error
        for question in questions:
            title, text = documents[question.document]
            if (crc32(text.encode()) % HELD_OUT_PART == 0) is not held_out:
                continue
            for answer in question.answers:
                split = _around(text, answer)
                if split is not None:
                    asked = question.text[:1].upper() + question.text[1:]
                    found.append(Quoted(name, asked, title.replace("_", " "), *split))
                    break
    return found


def grounded(pool: Sequence[Quoted], rng: random.Random, *, long: bool) -> Example:
    """A question among passages of its own set; sometimes the one that answers is left out.

    About half of the others are of the same or neighbouring documents: `pool` is in their order.
    """
    number = rng.randrange(len(pool))
    asked = pool[number]
    others: list[tuple[str, str]] = []
    wanted = rng.choice([1, 2, 3, 4] if long else [0, 1, 1])
    for _ in range(TRIES):
        if len(others) == wanted:
            break
        near = min(max(number + rng.randint(-NEIGHBOURS, NEIGHBOURS), 0), len(pool) - 1)
        other = pool[near] if rng.random() < 0.5 else rng.choice(pool)
        passage = other.passage(rng, long=long)
        if other.source == asked.source and not _overlap(passage[1], asked, others):
            others.append(passage)
    if others and rng.random() < UNANSWERABLE_RATE:
        return conversation(numbered(others), asked.question, NOT_IN_DOCUMENTS)
    first = place(len(others) + 1, rng)
    others.insert(first, asked.passage(rng, long=long))
    answer = f"{asked.sentence} [{first + 1}]"
    return conversation(numbered(others), asked.question, answer)


def _overlap(text: str, asked: Quoted, others: Sequence[tuple[str, str]]) -> bool:
    """Whether a passage answers the question, or shares a sentence with one of the others."""
    return asked.sentence in text or any(
        sentence in other for sentence in _split(text) for _, other in others
    )


def free_texts(data: Path) -> list[Example]:
    """Short texts written for a prompt, and the beginnings of expert answers."""
    folder = data / "instruction"
    found = [
        conversation("", row["prompt"].strip(), row["completion"].strip())
        for row in _rows(folder / "p3_grounded_subset__p3_subset.jsonl.gz")
        if row["template"].startswith(FREE_TEXT) and len(row["prompt"]) < 600
    ]
    for row in _rows(folder / "expertqa__rand_lfqa_train.jsonl.gz"):
        answer = " ".join(_split(row["answer"].replace("**", ""))[:2])
        found.append(conversation("", row["question"], re.sub(r"\s+([.,])", r"\1", answer)))
    return [each for each in found if 2 <= len(each.answer.split()) <= LONGEST_FREE_TEXT_WORDS]


def plain_texts(data: Path) -> list[str]:
    """Pages of documentation without the held out ones, and the sets' own paragraphs."""
    texts = [
        row["text"]
        for file in sorted((data / "docs").glob("*.jsonl.gz"))
        if HELD_OUT_PAGES not in file.name
        for row in _rows(file)
    ]
    for name in SETS:
        documents, _ = judged(data / "retrieval" / name)
        texts += [text for _, text in documents.values()]
    return texts


def _around(text: str, answer: str) -> tuple[str, str, str] | None:
    """(before, sentence, after) of the sentence that holds the answer, if it is one to quote."""
    place = text.find(answer)
    if place < 0:
        return None
    start = 0
    for sentence in _split(text):
        begin = text.find(sentence, start)
        start = begin + len(sentence)
        if begin <= place and place + len(answer) <= start:
            words = len(sentence.split())
            if 3 <= words <= LONGEST_ANSWER_WORDS:
                return text[:begin], sentence.strip(), text[start:]
            return None
    return None


def _split(text: str) -> list[str]:
    return [each.strip() for each in _SENTENCE_END.split(text) if each.strip()]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
