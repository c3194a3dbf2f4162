"""Any Hugging Face causal language model in this process, with PEFT adapters, NF4 on CUDA."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from finetune.adapter_checks import check_files, check_fits
from finetune.adapters import AdapterRegistry
from finetune.base_identity import read_base
from finetune.errors import AdapterError
from finetune.manifest import AdapterVersion, State
from serving.answers import Usage
from serving.errors import GeneratorError, UnknownAdapterError
from serving.generation import GenerationRequest, Piece
from serving.prompts import Prompt

BASE = "__base__"  # PEFT's name for "no adapter" in `adapter_names`


class TransformersGenerator:
    """Runs one generation at a time; a request for an adapter never changes another's."""

    speaks = True

    def __init__(self, model_name: str, *, adapters_dir: Path, nf4: bool = True) -> None:
        self.name = model_name
        self._registry = AdapterRegistry(adapters_dir)
        self._model, self._tokenizer = _load(model_name, nf4=nf4)
        self._base = cache(lambda: read_base(model_name))
        self._loaded: set[str] = set()  # labels, NAME@VERSION
        self._running = threading.Lock()

    def adapters(self) -> Sequence[str]:
        """Names of the adapters that have a live version."""
        versions = self._registry.versions()
        return [version.name for version in versions if version.state is State.LIVE]

    def stream(self, request: GenerationRequest) -> Iterator[Piece]:
        """Text as tokens come; stops at the next token once the request is cancelled."""
        from transformers import TextIteratorStreamer

        with self._running:
            adapter = self._loaded_adapter(request.adapter) if request.adapter else BASE
            inputs = self._inputs(request.prompt)
            streamer = TextIteratorStreamer(
                self._tokenizer, skip_prompt=True, skip_special_tokens=True
            )
            left = threading.Event()  # set when nobody listens any more
            run = _Generation(self._model, inputs, streamer, self._options(request, adapter, left))
            run.start()
            try:
                for text in _before_stop(streamer, request.sampling.stop):
                    if text:
                        yield Piece(text)
            finally:
                left.set()
                run.join()
        if run.error is not None:
            raise GeneratorError(
                f"the language model {self.name!r} failed: {run.error}"
            ) from run.error
        limit = request.sampling.max_new_tokens
        usage = Usage(inputs["input_ids"].shape[1], run.new_tokens)
        yield Piece("", usage=usage, truncated=run.new_tokens >= limit)

    def _options(
        self, request: GenerationRequest, adapter: str, left: threading.Event
    ) -> dict[str, Any]:
        from transformers import StoppingCriteria, StoppingCriteriaList, set_seed

        cancelled = request.cancelled
        sampling = request.sampling

        class Cancelled(StoppingCriteria):  # type: ignore[misc]
            def __call__(self, input_ids: Any, *_: Any, **__: Any) -> Any:
                import torch

                ends = cancelled.is_set() or left.is_set()
                return torch.full((input_ids.shape[0],), ends, device=input_ids.device)

        options: dict[str, Any] = {
            "max_new_tokens": sampling.max_new_tokens,
            "do_sample": sampling.temperature > 0,
            "stopping_criteria": StoppingCriteriaList([Cancelled()]),
            "pad_token_id": self._tokenizer.pad_token_id or self._tokenizer.eos_token_id,
        }
        if sampling.temperature > 0:
            options |= {"temperature": sampling.temperature, "top_p": sampling.top_p}
        if sampling.seed is not None:
            set_seed(sampling.seed % 2**32)
        if sampling.stop:
            options |= {"stop_strings": list(sampling.stop), "tokenizer": self._tokenizer}
        if self._loaded:
            options["adapter_names"] = [adapter]
        return options

    def _inputs(self, prompt: Prompt) -> Any:
        messages = [{"role": "system", "content": prompt.system}]
        messages += [{"role": m.role, "content": m.content} for m in prompt.messages]
        if not self._tokenizer.chat_template:
            raise GeneratorError(
                f"the tokenizer of {self.name!r} has no chat template; use an instruction-tuned "
                "model"
            )
        inputs = self._tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        return inputs.to(self._model.device)  # input_ids: (1, tokens)

    def _loaded_adapter(self, name: str) -> str:
        """PEFT's name of the live version, which is checked and loaded when it is first asked for.

        A version promoted meanwhile has another label, so it is loaded beside the former.
        """
        version = self._live(name)
        if version.label in self._loaded:
            return version.label
        try:
            check_files(version.directory, version.manifest)
            check_fits(version, self._base())
            if self._loaded:
                self._model.load_adapter(str(version.directory), adapter_name=version.label)
            else:
                from peft import PeftModel

                self._model = PeftModel.from_pretrained(
                    self._model, str(version.directory), adapter_name=version.label
                ).eval()
        except (AdapterError, OSError, ValueError, RuntimeError, ImportError) as error:
            raise GeneratorError(f"adapter {version.label!r} does not fit: {error}") from error
        self._loaded.add(version.label)
        return version.label

    def _live(self, name: str) -> AdapterVersion:
        try:
            version = self._registry.get(name)
        except AdapterError as error:
            raise UnknownAdapterError(str(error)) from error
        if version.state is not State.LIVE:
            raise UnknownAdapterError(
                f"adapter {name!r} has no live version; `twofold adapters promote "
                f"{version.label}` makes this one live"
            )
        return version


def _before_stop(pieces: Iterable[str], stops: Sequence[str]) -> Iterator[str]:
    """The text up to the first stop string; what could become one is held back."""
    held = ""
    margin = max((len(stop) for stop in stops), default=1) - 1
    for piece in pieces:
        held += piece
        found = [held.index(stop) for stop in stops if stop in held]
        if found:
            yield held[: min(found)]
            return
        ready = len(held) - margin
        if ready > 0:
            yield held[:ready]
            held = held[ready:]
    yield held


class _Generation(threading.Thread):
    """`model.generate` beside the reader of its streamer; keeps what went wrong."""

    def __init__(self, model: Any, inputs: Any, streamer: Any, options: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self._model, self._inputs, self._options = model, inputs, options
        self._streamer = streamer
        self.new_tokens = 0
        self.error: Exception | None = None

    def run(self) -> None:
        import torch

        try:
            with torch.inference_mode():
                output = self._model.generate(
                    **self._inputs, streamer=self._streamer, **self._options
                )
            self.new_tokens = int(output.shape[1] - self._inputs["input_ids"].shape[1])
        except Exception as error:  # noqa: BLE001 - carried to the thread that reads
            self.error = error
            self._streamer.end()


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
