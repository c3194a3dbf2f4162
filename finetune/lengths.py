"""How many tokens the examples take, against the context that they are trained in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from finetune.errors import ConfigurationError, ExamplesError
from finetune.examples import Example
from finetune.problems import Finding, Kind, Problem

CONTEXT_TOKENS = 2048
TOKENS_PER_WORD = 1.35  # of English prose, with the vocabularies of today's models
BYTES_PER_TOKEN = 4  # where words are not separated by spaces
TURN_TOKENS = 5  # what a chat template puts around a message


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of each example and of its answer alone, in the order of the examples."""

    examples: tuple[int, ...]
    answers: tuple[int, ...]
    max_tokens: int
    counted_by: str

    @property
    def median(self) -> int:
        """Of the examples, in tokens."""
        return sorted(self.examples)[len(self.examples) // 2]

    def record(self) -> dict[str, Any]:
        """For JSON: the distribution, not each example."""
        return {
            "max_tokens": self.max_tokens,
            "counted_by": self.counted_by,
            "median_tokens": self.median,
            "longest_tokens": max(self.examples),
            "longest_answer_tokens": max(self.answers),
            "total_tokens": sum(self.examples),
        }


def lengths_of(
    examples: Sequence[Example], *, tokenizer: str | None = None, max_tokens: int = CONTEXT_TOKENS
) -> Lengths:
    """Counted with a tokenizer and its chat template, else estimated by words.

    Raises:
        ConfigurationError: the tokenizer cannot be loaded.
        ExamplesError: its chat template refuses an example.
    """
    if tokenizer is None:
        return Lengths(
            tuple(map(_estimated_example, examples)),
            tuple(estimated_tokens(example.answer) for example in examples),
            max_tokens,
            "an estimate by words; give a tokenizer to count",
        )
    count_example, count_text = _counters(tokenizer)
    return Lengths(
        tuple(map(count_example, examples)),
        tuple(count_text(example.answer) for example in examples),
        max_tokens,
        f"the tokenizer {tokenizer}",
    )


def length_problems(examples: Sequence[Example], lengths: Lengths) -> list[Problem]:
    """Examples that would be cut; answers that are too long even alone, apart from the others."""
    answers, others = [], []
    for example, whole, answer in zip(examples, lengths.examples, lengths.answers, strict=True):
        if answer > lengths.max_tokens:
            answers.append(Finding(example.line, f"the answer alone has {answer:,} tokens"))
        elif whole > lengths.max_tokens:
            others.append(Finding(example.line, f"{whole:,} tokens, {answer:,} in the answer"))
    limit = f"longer than {lengths.max_tokens:,} tokens (by {lengths.counted_by})"
    found = [
        (Kind.ANSWER_TOO_LONG, f"answers alone {limit}: {len(answers):,}", answers),
        (Kind.TOO_LONG, f"examples {limit}: {len(others):,}", others),
    ]
    advice = "Shorten or split them, or train in a longer context: the end, the answer, is cut off."
    return [
        Problem(kind, summary, advice, tuple(findings))
        for kind, summary, findings in found
        if findings
    ]


def estimated_tokens(text: str) -> int:
    """max(1.35 per word, 1 per four bytes), rounded up.

    >>> estimated_tokens("Good morning, and welcome.")
    7
    """
    return -int(
        -max(len(text.split()) * TOKENS_PER_WORD, len(text.encode()) / BYTES_PER_TOKEN) // 1
    )


def _estimated_example(example: Example) -> int:
    return sum(TURN_TOKENS + estimated_tokens(each.content) for each in example.messages)


def _counters(name: str) -> tuple[Callable[[Example], int], Callable[[str], int]]:
    tokenizer = _load(name)

    def count_text(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def count_example(example: Example) -> int:
        if not tokenizer.chat_template:
            return sum(TURN_TOKENS + count_text(each.content) for each in example.messages)
        from jinja2 import TemplateError

        turns = [{"role": str(each.role), "content": each.content} for each in example.messages]
        try:
            return count_text(tokenizer.apply_chat_template(turns, tokenize=False))
        except TemplateError as error:
            raise ExamplesError(
                f"row {example.line}: the chat template of {name} refuses it: {error}"
            ) from error

    return count_example, count_text


def _load(name: str) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigurationError(
            f"the tokenizer {name!r} cannot be loaded: {reason}; give a folder that holds "
            "tokenizer.json, or the name of a model on the hub, or none for an estimate"
        ) from error
