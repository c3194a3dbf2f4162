"""Conversations -> token ids and labels, in the model's own chat template.

Every answer of a conversation is an example of its own, rendered as it is when the model is asked:
some templates drop parts of earlier turns, and then the ids of a conversation as a whole are not
those that the model reads later. The loss is on the answer and the end of its turn alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from finetune.errors import ExamplesError
from finetune.examples import Example, Message, Role

IGNORED = -100  # a label that no loss is computed for
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Encoded:
    """Ids of a prompt and its answer; `prompt_tokens` of them are the prompt's."""

    line: int
    input_ids: tuple[int, ...]
    prompt_tokens: int

    @property
    def labels(self) -> tuple[int, ...]:
        """The answer's ids, and `IGNORED` before them."""
        return (IGNORED,) * self.prompt_tokens + self.input_ids[self.prompt_tokens :]

    def row(self) -> dict[str, list[int]]:
        """For a `datasets.Dataset`."""
        return {"input_ids": list(self.input_ids), "labels": list(self.labels)}


def encode_all(examples: Sequence[Example], tokenizer: Any, *, max_tokens: int) -> list[Encoded]:
    """Every answer of every example, in their order.

    Raises:
        ExamplesError: the tokenizer has no chat template, or examples are too long for it or for
            `max_tokens`; lists them all.
    """
    from jinja2 import TemplateError

    if not getattr(tokenizer, "chat_template", None):
        raise ExamplesError(
            "the base model's tokenizer has no chat template, so nobody could ask it in the form "
            "that it is trained in; choose an instruction-tuned base, or give the tokenizer one"
        )
    encoded, too_long, refused = [], [], []
    for example in examples:
        for messages in _answers(example):
            try:
                found = _encode(example.line, messages, tokenizer)
            except (_NotAPrefixError, TemplateError) as error:
                refused.append(f"line {example.line}: {error}")
                continue
            if len(found.input_ids) > max_tokens:
                too_long.append(f"line {example.line}: {len(found.input_ids):,} tokens")
            encoded.append(found)
    if refused:
        raise ExamplesError(
            "the base model's chat template cannot render these examples; change them, or choose "
            "another base:\n  " + _listed(refused)
        )
    if too_long:
        raise ExamplesError(
            f"examples that do not fit max_tokens = {max_tokens}; a cut answer would teach the "
            "model to stop mid-sentence. Shorten them, or raise max_tokens:\n  " + _listed(too_long)
        )
    return encoded


def prompt_ids(messages: Sequence[Message], tokenizer: Any) -> list[int]:
    """Ids up to where the assistant begins to speak."""
    return _render(messages, tokenizer, add_generation_prompt=True)


class _NotAPrefixError(Exception):
    """The rendered conversation does not begin with its rendered prompt."""


def _listed(problems: Sequence[str]) -> str:
    more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
    return "\n  ".join([*problems[:SHOWN], *more])


def _answers(example: Example) -> Iterator[tuple[Message, ...]]:
    for place, message in enumerate(example.messages):
        if message.role is Role.ASSISTANT:
            yield example.messages[: place + 1]


def _encode(line: int, messages: Sequence[Message], tokenizer: Any) -> Encoded:
    prompt = prompt_ids(messages[:-1], tokenizer)
    whole = _render(messages, tokenizer, add_generation_prompt=False)
    if whole[: len(prompt)] != prompt:
        raise _NotAPrefixError("it renders the prompt otherwise once an answer follows")
    return Encoded(line, tuple(whole), len(prompt))


def _render(
    messages: Sequence[Message], tokenizer: Any, *, add_generation_prompt: bool
) -> list[int]:
    turns = [{"role": message.role.value, "content": message.content} for message in messages]
    text = tokenizer.apply_chat_template(
        turns, tokenize=False, add_generation_prompt=add_generation_prompt
    )
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids
