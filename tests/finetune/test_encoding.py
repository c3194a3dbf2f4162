"""Conversations as token ids: what is learnt, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from finetune.encoding import IGNORED, encode_all, prompt_ids
from finetune.errors import ExamplesError
from finetune.examples import Example, Message, Role
from tests.finetune.tiny_model import save_tiny_model

LONG = 10_000


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(save_tiny_model(tmp_path_factory.mktemp("base")))


def example(*turns: str, line: int = 1) -> Example:
    """User and assistant by turns."""
    roles = (Role.USER, Role.ASSISTANT)
    messages = (Message(roles[place % 2], text) for place, text in enumerate(turns))
    return Example(line, tuple(messages))


def test_labels_are_the_answer_and_the_end_of_its_turn(tokenizer: Any) -> None:
    (encoded,) = encode_all([example("Hi", "Aye")], tokenizer, max_tokens=LONG)

    assert tokenizer.decode(encoded.input_ids) == "<|user|>Hi<|end|><|assistant|>Aye<|end|>"
    learnt = [label for label in encoded.labels if label != IGNORED]
    assert tokenizer.decode(learnt) == "Aye<|end|>"


def test_prompt_is_what_the_model_is_asked_later(tokenizer: Any) -> None:
    (encoded,) = encode_all([example("Hi", "Aye")], tokenizer, max_tokens=LONG)
    asked = prompt_ids([Message(Role.USER, "Hi")], tokenizer)

    assert list(encoded.input_ids[: encoded.prompt_tokens]) == asked


def test_every_answer_of_a_conversation_is_learnt_once(tokenizer: Any) -> None:
    encoded = encode_all([example("a", "One", "b", "Two")], tokenizer, max_tokens=LONG)
    learnt = [
        tokenizer.decode([label for label in each.labels if label != IGNORED]) for each in encoded
    ]

    assert learnt == ["One<|end|>", "Two<|end|>"]


def test_too_long_examples_are_named_by_line(tokenizer: Any) -> None:
    rows = [example("Hi", "Aye", line=1), example("Hi", "A" * 50, line=2)]
    with pytest.raises(ExamplesError, match=r"line 2: 56 tokens") as refused:
        encode_all(rows, tokenizer, max_tokens=20)

    assert "line 1" not in str(refused.value)


def test_tokenizer_without_a_chat_template_is_refused(tokenizer: Any) -> None:
    template, tokenizer.chat_template = tokenizer.chat_template, None
    try:
        with pytest.raises(ExamplesError, match="has no chat template"):
            encode_all([example("Hi", "Aye")], tokenizer, max_tokens=LONG)
    finally:
        tokenizer.chat_template = template


def test_template_that_changes_the_prompt_is_refused(tokenizer: Any) -> None:
    """It marks the last turn, so the prompt reads otherwise once there is an answer."""
    template = tokenizer.chat_template
    tokenizer.chat_template = (
        "{% for message in messages %}{{ '(last)' if loop.last }}{{ message['content'] }}"
        "{% endfor %}"
    )
    try:
        with pytest.raises(ExamplesError, match="line 1: it renders the prompt otherwise"):
            encode_all([example("Hi", "Aye")], tokenizer, max_tokens=LONG)
    finally:
        tokenizer.chat_template = template


def test_template_that_refuses_a_turn_is_told_by_line(tokenizer: Any) -> None:
    template = tokenizer.chat_template
    tokenizer.chat_template = "{{ raise_exception('System role not supported') }}"
    try:
        with pytest.raises(ExamplesError, match="line 1: System role not supported"):
            encode_all([example("Hi", "Aye")], tokenizer, max_tokens=LONG)
    finally:
        tokenizer.chat_template = template
