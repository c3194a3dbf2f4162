"""The model's own tokenizer: byte-level BPE, digits by twos, and a chat template.

What opens and closes a passage is one token each, so that a prompt of short passages is not half
markup; numbers are split into pairs of digits, so that few tokens make up all of them and a number
seldom repeats one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

END = "<|end|>"
TURNS = ("<|system|>", "<|user|>", "<|assistant|>")
SPECIAL = (END, *TURNS)
MOST_PASSAGES = 10
OPENERS = tuple(f'<passage number="{number}" from="' for number in range(1, MOST_PASSAGES + 1))
MARKERS = tuple(f" [{number}]" for number in range(1, MOST_PASSAGES + 1))
MARKUP = (*MARKERS, '">\n', "\n</passage>")
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|end|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def train(texts: Iterable[str], *, vocabulary: int, context: int) -> Any:
    """A `PreTrainedTokenizerFast` of exactly `vocabulary` tokens or, on little text, fewer."""
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        trainers,
    )
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    splits: Any = pre_tokenizers
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Replace(Regex("^ +"), ""), normalizers.Prepend(" ")]
    )
    tokenizer.pre_tokenizer = splits.Sequence(
        [splits.Split(Regex(r" ?\d{1,2}"), "isolated"), splits.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(MARKUP) - len(OPENERS),
        special_tokens=list(SPECIAL),
        initial_alphabet=splits.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in MARKUP])
    tokenizer.add_tokens([AddedToken(text, normalized=False, lstrip=True) for text in OPENERS])
    wrapped: Any = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=END,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def beginning(tokenizer: Any) -> int:
    """The token that every conversation with passages begins with."""
    token: int = tokenizer.convert_tokens_to_ids(TURNS[0])
    return token
