"""Voices that are examples only: too few to train on, shown to the base model instead.

VOICES/NAME.jsonl holds the examples of the voice NAME, in the formats that training takes. Those
whose questions are nearest to the one asked stand in the prompt as earlier turns, the nearest last:
what does not fit into the prompt's budget is cut from the front.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from finetune.errors import AdapterError, ExamplesError
from finetune.example_files import read_examples
from finetune.examples import Example, Role
from finetune.manifest import check_name
from retrieval.embedding import Embedder, Vectors
from retrieval.errors import EmbeddingError
from serving.answers import ChatRequest, Message
from serving.errors import GeneratorError

SUFFIX = ".jsonl"
SHOWN = 8  # examples in a prompt, at most
ENOUGH = 100  # to train an adapter, which costs no tokens and holds the voice better

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Voice:
    stamp: tuple[int, int]  # of the file, which tells when it was replaced
    examples: Sequence[Example]
    vectors: Vectors | None  # (examples, d) of their questions; None: the embedder was down


class Voices:
    """The folder need not exist; files may come, change and go while the system runs."""

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        self._folder = folder
        self._embedder = embedder
        self._read: dict[str, _Voice] = {}
        self._reading = threading.Lock()

    def names(self) -> list[str]:
        """Of the files there are."""
        found = sorted(self._folder.glob(f"*{SUFFIX}")) if self._folder.is_dir() else []
        return [path.stem for path in found if _is_name(path.stem)]

    def shown(
        self, request: ChatRequest, question: Vectors | None, adapters: Collection[str]
    ) -> ChatRequest:
        """The request, with the examples of a voice that has no adapter.

        `question` is the (d,) vector of what is asked; without it the first examples are taken.

        Raises:
            GeneratorError: the voice's file cannot be read.
        """
        name = request.adapter
        if name is None or name in adapters:
            return request
        turns = tuple(
            Message(str(message.role), message.content)
            for example in self._nearest(self._voice(name), question)
            for message in example.messages
            if message.role is not Role.SYSTEM
        )
        return replace(request, examples=turns)

    def _nearest(self, voice: _Voice, question: Vectors | None) -> list[Example]:
        """The most similar last."""
        if question is None or voice.vectors is None:
            return list(reversed(voice.examples[:SHOWN]))
        cosines = (voice.vectors @ question).tolist()
        order = sorted(range(len(cosines)), key=lambda place: -cosines[place])
        return [voice.examples[place] for place in reversed(order[:SHOWN])]

    def _voice(self, name: str) -> _Voice:
        """Read and embedded once, and again when the file has changed."""
        path = self._folder / f"{name}{SUFFIX}"
        with self._reading:
            try:
                state = path.stat()
                stamp = (state.st_mtime_ns, state.st_size)
                known = self._read.get(name)
                if known is None or known.stamp != stamp or known.vectors is None:
                    self._read[name] = self._load(path, stamp)
            except (OSError, ExamplesError) as error:
                raise GeneratorError(f"the voice {name!r} cannot be used: {error}") from error
            return self._read[name]

    def _load(self, path: Path, stamp: tuple[int, int]) -> _Voice:
        examples = read_examples(path)
        if len(examples) >= ENOUGH:
            logger.info(
                "%s holds %d examples, enough for `twofold train`: an adapter needs no examples in "
                "the prompt",
                path,
                len(examples),
            )
        try:
            vectors = self._embedder.embed([each.messages[-2].content for each in examples])
        except EmbeddingError:
            logger.exception("the embedder failed; the first examples of %s stand in", path)
            return _Voice(stamp, examples, None)
        return _Voice(stamp, examples, vectors)


def _is_name(name: str) -> bool:
    try:
        check_name(name)
    except AdapterError:
        return False
    return True
