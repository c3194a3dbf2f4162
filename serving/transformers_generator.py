"""Any Hugging Face causal language model in this process, with PEFT adapters, NF4 on CUDA."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from finetune.adapters import AdapterRegistry
from finetune.base_identity import read_base
from finetune.errors import AdapterError
from finetune.manifest import AdapterVersion, State
from serving.errors import GeneratorError, UnknownAdapterError
from serving.generation import GenerationRequest, Piece
from serving.language_model import LanguageModel
from serving.loaded_adapters import LoadedAdapters
from serving.model_thread import Job, ModelThread

BATCH = 16  # answers that are written at once
QUEUE = 16  # and that wait
ADAPTERS_MIB = 1024

logger = logging.getLogger(__name__)


class TransformersGenerator:
    """Answers asked for at once share a batch, each with its own adapter, sampling and stops."""

    speaks = True

    def __init__(
        self,
        model_name: str,
        *,
        adapters_dir: Path,
        nf4: bool = True,
        adapters_mib: int = ADAPTERS_MIB,
        batch: int = BATCH,
        queue: int = QUEUE,
    ) -> None:
        self.name = model_name
        self._registry = AdapterRegistry(adapters_dir)
        self._model = LanguageModel.load(model_name, nf4=nf4)
        self._base = cache(lambda: read_base(model_name))
        self._clamped = False  # told once
        loaded = LoadedAdapters(self._model.model, base=self._base, limit_mib=adapters_mib)
        self._thread = ModelThread(model_name, loaded, self._model.ends, batch=batch, queue=queue)

    def adapters(self) -> Sequence[str]:
        """Names of the adapters that have a live version."""
        versions = self._registry.versions()
        return [version.name for version in versions if version.state is State.LIVE]

    def count_tokens(self, text: str) -> int:
        """By the model's own tokenizer."""
        return self._model.count_tokens(text)

    def stream(self, request: GenerationRequest) -> Iterator[Piece]:
        """Text as tokens come; a request that is cancelled, or not read on, ends at the next."""
        version = self._live(request.adapter) if request.adapter else None
        prompt = self._model.tokens(request.prompt)
        job = Job(
            prompt=prompt,
            sampling=request.sampling,
            text=self._model.text_stream(prompt, request.sampling.stop),
            limit=self._limit(len(prompt), request.sampling.max_new_tokens),
            version=version,
            cancelled=request.cancelled,
        )
        self._thread.submit(job)
        try:
            yield from job.pieces()
        finally:
            job.left.set()

    @property
    def waiting(self) -> int:
        """Requests that nobody works on yet."""
        return self._thread.waiting

    def close(self) -> None:
        """End the thread that runs the model."""
        self._thread.close()

    def _limit(self, prompt_tokens: int, wanted: int) -> int:
        """Tokens that may be written: those asked for, as far as the model's context goes."""
        context = self._model.context
        if context is None or prompt_tokens + wanted <= context:
            return wanted
        if prompt_tokens >= context:
            raise GeneratorError(
                f"the prompt has {prompt_tokens} tokens and {self.name!r} holds {context}; lower "
                "TWOFOLD_PROMPT_TOKENS"
            )
        if not self._clamped:
            self._clamped = True
            logger.warning(
                "%r holds %d tokens: answers to long prompts end early; TWOFOLD_PROMPT_TOKENS and "
                "TWOFOLD_MAX_NEW_TOKENS together should not be more",
                self.name,
                context,
            )
        return context - prompt_tokens

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
