from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from finetune.errors import ConfigurationError, ExamplesError
from finetune.examples import Example, Message, Role
from finetune.lengths import estimated_tokens, length_problems, lengths_of
from finetune.problems import Kind
from tests.finetune.answer_sets import from_answers

TEMPLATE = "{% for m in messages %}<s> {{ m['content'] }} {% endfor %}"
REFUSING = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system') }}{% endif %}"


def save_tokenizer(folder: Path, template: str | None) -> str:
    """A tokenizer whose tokens are words."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = WhitespaceSplit()
    make: Any = PreTrainedTokenizerFast
    fast = make(tokenizer_object=words, unk_token="[UNK]")
    fast.chat_template = template
    fast.save_pretrained(folder)
    return str(folder)


def test_lengths_without_a_tokenizer_say_that_they_are_estimated() -> None:
    lengths = lengths_of(from_answers(["one two three four"]))
    assert lengths.answers == (6,)  # 4 words * 1.35 = 5.4
    assert lengths.examples == (5 + 3 + 5 + 6,)  # "Question 1?" is 2.75
    assert "estimate" in lengths.counted_by
    assert lengths.max_tokens == 2048


def test_estimated_tokens_of_text_without_spaces_go_by_bytes() -> None:
    assert estimated_tokens("你好" * 20) == 30  # 120 bytes


def test_lengths_with_a_chat_template_count_it(tmp_path: Path) -> None:
    name = save_tokenizer(tmp_path, TEMPLATE)
    lengths = lengths_of(from_answers(["one two three four"]), tokenizer=name)
    assert lengths.answers == (4,)
    assert lengths.examples == (1 + 2 + 1 + 4,)
    assert name in lengths.counted_by


def test_lengths_without_a_chat_template_add_each_turn(tmp_path: Path) -> None:
    name = save_tokenizer(tmp_path, None)
    assert lengths_of(from_answers(["one two"]), tokenizer=name).examples == (5 + 2 + 5 + 2,)


def test_lengths_with_a_template_that_refuses_name_the_row(tmp_path: Path) -> None:
    messages = (
        Message(Role.SYSTEM, "Be brief."),
        Message(Role.USER, "A bag?"),
        Message(Role.ASSISTANT, "Yes."),
    )
    with pytest.raises(ExamplesError, match=r"row 7: the chat template of .* No system"):
        lengths_of([Example(7, messages)], tokenizer=save_tokenizer(tmp_path, REFUSING))


def test_lengths_with_a_tokenizer_that_is_missing_say_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be loaded: .*give a folder"):
        lengths_of(from_answers(["a"]), tokenizer=str(tmp_path / "none"))


def test_length_problems_tell_answers_from_examples() -> None:
    examples = from_answers(["a " * 50, "a " * 9, "a"])
    lengths = lengths_of(examples, max_tokens=20)
    alone, whole = length_problems(examples, lengths)
    assert (alone.kind, whole.kind) == (Kind.ANSWER_TOO_LONG, Kind.TOO_LONG)
    assert [(each.line, each.detail) for each in alone.findings] == [
        (1, "the answer alone has 68 tokens")
    ]
    assert [(each.line, each.detail) for each in whole.findings] == [
        (2, "26 tokens, 13 in the answer")
    ]


def test_length_problems_of_examples_that_just_fit_are_none() -> None:
    examples = from_answers(["a " * 9])
    assert length_problems(examples, lengths_of(examples, max_tokens=26)) == []
