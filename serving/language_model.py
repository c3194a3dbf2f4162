"""A causal language model with its tokenizer, as it lies in a folder or on the hub."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from serving.errors import GeneratorError
from serving.prompts import Prompt
from serving.text_stream import TextStream
from serving.thinking import CLOSE, OPEN, template_options


class LanguageModel:
    """What about a model does not change while it runs; threads may use its tokenizer at once."""

    def __init__(self, name: str, model: Any, tokenizer: Any) -> None:
        self.name = name
        self.model = model
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, name: str, *, nf4: bool) -> LanguageModel:
        """In 16 bit on CUDA, or there in 4 with `nf4`; else in 32.

        Raises:
            GeneratorError: it cannot be loaded; says what the setting takes.
        """
        return cls(name, *_load(name, nf4=nf4))

    @cached_property
    def ends(self) -> frozenset[int]:
        """Tokens that end an answer."""
        configured = getattr(self.model.generation_config, "eos_token_id", None)
        listed = configured if isinstance(configured, list) else [configured]
        return frozenset({*listed, self._tokenizer.eos_token_id} - {None})

    @cached_property
    def context(self) -> int | None:
        """Tokens that it can hold, prompt and answer together; None where it does not say."""
        config = self.model.config.get_text_config()
        return getattr(config, "max_position_embeddings", None)

    @cached_property
    def _hidden(self) -> frozenset[int]:
        """Tokens that are no text; the tags of reasoning are, so that they can be found."""
        tags = set(self._tokenizer.convert_tokens_to_ids([OPEN, CLOSE]))
        unknown = {self._tokenizer.unk_token_id}
        return frozenset((set(self._tokenizer.all_special_ids) | self.ends) - (tags - unknown))

    def count_tokens(self, text: str) -> int:
        """Of a text by itself, without what a template puts around it."""
        return len(self._encode(text))

    def tokens(self, prompt: Prompt) -> list[int]:
        """The prompt through the model's chat template, reasoning switched off where it can be.

        Raises:
            GeneratorError: there is no chat template.
        """
        template = self._tokenizer.chat_template
        if not template:
            raise GeneratorError(
                f"the tokenizer of {self.name!r} has no chat template; use an instruction-tuned "
                "model"
            )
        messages = [{"role": "system", "content": prompt.system}] if prompt.system else []
        messages += [{"role": m.role, "content": m.content} for m in prompt.messages]
        rendered = self._tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=False, **template_options(template)
        )
        return self._encode(rendered)

    def text_stream(self, prompt: Sequence[int], stops: Sequence[str]) -> TextStream:
        """For the answer to a prompt of these tokens."""
        end = self._decode(prompt[-8:])
        return TextStream(
            self._decode,
            hidden=self._hidden,
            thinking=end.rstrip().endswith(OPEN),
            stops=stops,
        )

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids

    def _decode(self, tokens: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(
            list(tokens), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text


def _load(model_name: str, *, nf4: bool) -> tuple[Any, Any]:
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

        options: dict[str, Any] = {"dtype": torch.float32}
        if torch.cuda.is_available():
            options = {"dtype": torch.bfloat16, "device_map": {"": 0}}
            if nf4:
                quantization: Any = BitsAndBytesConfig
                options["quantization_config"] = quantization(
                    load_in_4bit=True,
                    bnb_4bit_quant_type="nf4",
                    bnb_4bit_use_double_quant=True,
                    bnb_4bit_compute_dtype=torch.bfloat16,
                )
        model: Any = AutoModelForCausalLM.from_pretrained(
            model_name, use_safetensors=True, **options
        )
        tokenizer = AutoTokenizer.from_pretrained(model_name)
    except ImportError as error:
        raise GeneratorError(
            f"language models need the extra: pip install 'twofold[models]' ({error})"
        ) from error
    except Exception as error:  # hub, safetensors and torch raise what they like
        raise GeneratorError(
            f"cannot load the language model {model_name!r}: {error}; TWOFOLD_LANGUAGE_MODEL takes "
            "a folder, or a hub name where a network is available"
        ) from error
    return model.eval(), tokenizer
