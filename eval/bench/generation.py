"""Many chats in several voices at once, against the same chats one after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from eval.errors import EvaluationError
from serving.answers import Message, Sampling, Usage
from serving.generation import GenerationRequest, Generator
from serving.prompts import Prompt
from starter import bundle

QUESTION = "What do these pages say?"


@dataclass(frozen=True, slots=True)
class Chats:
    """What is asked: `voices` in turn, None being the base model; each chat has its own prompt."""

    voices: tuple[str | None, ...]
    count: int = 16
    prompt_tokens: int = 300
    new_tokens: int = 60


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one chat."""

    text: str
    usage: Usage
    first_token_ms: float


@dataclass(frozen=True, slots=True)
class Round:
    """The same chats twice. Rates are tokens a second over all chats, wall clock."""

    apart_tokens_per_s: float
    together_tokens_per_s: float
    apart_first_ms: float  # median over the chats
    together_first_ms: float
    same_texts: int  # chats that wrote the same both times

    @property
    def ratio(self) -> float:
        """How much faster all of them are together."""
        return self.together_tokens_per_s / self.apart_tokens_per_s


@dataclass(frozen=True, slots=True)
class GenerationResult:
    """Of some rounds; medians over them."""

    chats: Chats
    prompt_tokens: float  # as counted by the model, mean
    adapter_load_ms: dict[str, float]
    rounds: tuple[Round, ...]

    def median_of(self, figure: Callable[[Round], float]) -> float:
        """Over the rounds."""
        return median(figure(each) for each in self.rounds)


def measure_generation(
    generator: Generator,
    chats: Chats,
    *,
    rounds: int,
    done: Callable[[Round], None] = lambda _: None,
) -> GenerationResult:
    """Every other round begins with the chats together, so that neither profits from warm caches.

    Raises:
        EvaluationError: the generator has none of the voices.
    """
    requests = _requests(generator, chats)
    load_ms: dict[str, float] = {}
    for request in requests[: len(chats.voices)]:  # loads the adapters
        *_, last = generator.stream(request)
        if request.adapter and "adapter_load" in last.timings_ms:
            load_ms[request.adapter] = last.timings_ms["adapter_load"]
    measured = []
    read = 0.0
    for number in range(rounds):
        if number % 2:
            together, together_s = _together(generator, requests)
            apart, apart_s = _apart(generator, requests)
        else:
            apart, apart_s = _apart(generator, requests)
            together, together_s = _together(generator, requests)
        measured.append(
            Round(
                _tokens(apart) / apart_s,
                _tokens(together) / together_s,
                median(each.first_token_ms for each in apart),
                median(each.first_token_ms for each in together),
                sum(a.text == b.text for a, b in zip(apart, together, strict=True)),
            )
        )
        read = sum(each.usage.prompt_tokens for each in apart) / len(apart)
        done(measured[-1])
    return GenerationResult(chats, read, load_ms, tuple(measured))


def _requests(generator: Generator, chats: Chats) -> list[GenerationRequest]:
    missing = {voice for voice in chats.voices if voice} - set(generator.adapters())
    if missing:
        raise EvaluationError(
            f"no live adapter {', '.join(sorted(missing))}; there are: "
            f"{', '.join(generator.adapters()) or 'none'}"
        )
    texts = _texts(generator.count_tokens, chats)
    return [
        GenerationRequest(
            Prompt(text, (Message("user", QUESTION),), QUESTION),
            sampling=Sampling(max_new_tokens=chats.new_tokens),
            adapter=chats.voices[number % len(chats.voices)],
        )
        for number, text in enumerate(texts)
    ]


def _texts(count_tokens: Callable[[str], int], chats: Chats) -> list[str]:
    """Of the bundled documents, each of at least so many tokens, all different."""
    pages = [path.read_text(encoding="utf-8") for path in sorted(bundle.DOCUMENTS.rglob("*.md"))]
    words = " ".join(pages).split()
    texts = []
    for number in range(chats.count):
        start = number * len(words) // chats.count
        end = start + 8
        while count_tokens(" ".join(words[start:end])) < chats.prompt_tokens:
            end += 8
        texts.append(" ".join(words[start:end]))
    return texts


def _write(generator: Generator, request: GenerationRequest) -> Written:
    *pieces, last = generator.stream(request)
    text = "".join(piece.text for piece in pieces)
    return Written(text, last.usage or Usage(0, 0), sum(last.timings_ms.values()))


def _apart(
    generator: Generator, requests: Sequence[GenerationRequest]
) -> tuple[list[Written], float]:
    started = time.perf_counter()
    written = [_write(generator, request) for request in requests]
    return written, time.perf_counter() - started


def _together(
    generator: Generator, requests: Sequence[GenerationRequest]
) -> tuple[list[Written], float]:
    written: dict[int, Written] = {}

    def chat(number: int, request: GenerationRequest) -> None:
        written[number] = _write(generator, request)

    threads = [
        threading.Thread(target=chat, args=numbered, name=f"chat {numbered[0]}")
        for numbered in enumerate(requests)
    ]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - started
    if len(written) < len(requests):
        raise EvaluationError(
            f"{len(requests) - len(written)} of {len(requests)} chats failed; the log says why"
        )
    return [written[number] for number in range(len(requests))], elapsed


def _tokens(written: Sequence[Written]) -> int:
    return sum(each.usage.completion_tokens for each in written)
