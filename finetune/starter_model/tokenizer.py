"""The model's own tokenizer: byte-level BPE, digits one by one, and a chat template.

What opens and closes a passage is one token each, so that a prompt of short passages is not half
markup; numbers are split into digits, so that copying one is copying its digits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

END = "<|end|>"
TURNS = ("<|system|>", "<|user|>", "<|assistant|>")
SPECIAL = (END, *TURNS)
MARKUP = ('<passage number="', '" from="', '">\n', "\n</passage>")
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
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    splits: Any = pre_tokenizers
    tokenizer.pre_tokenizer = splits.Sequence(
        [splits.Digits(individual_digits=True), splits.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(MARKUP),
        special_tokens=list(SPECIAL),
        initial_alphabet=splits.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in MARKUP])
    wrapped: Any = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=END,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped
