"""Any OpenAI-compatible server as the generator: vLLM, Ollama, llama.cpp, a hosted API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from serving.answers import Usage
from serving.errors import GeneratorError
from serving.generation import GenerationRequest, Piece

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam


class OpenAIGenerator:
    """`adapters` maps a voice to the name under which the server knows base + adapter."""

    speaks = True

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        api_key: str,
        adapters: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        import openai

        self.name = model
        self._adapters = dict(adapters or {})
        # Retries could repeat text that was already shown, so there are none.
        self._client = openai.OpenAI(
            base_url=base_url, api_key=api_key, timeout=timeout_s, max_retries=0
        )

    def adapters(self) -> Sequence[str]:
        """The configured voices."""
        return sorted(self._adapters)

    def stream(self, request: GenerationRequest) -> Iterator[Piece]:
        """Pieces as the server sends them, then its own count of tokens."""
        import httpx
        import openai

        sampling = request.sampling
        messages: list[ChatCompletionMessageParam] = [
            {"role": "system", "content": request.prompt.system}
        ]
        for message in request.prompt.messages:
            if message.role == "assistant":
                messages.append({"role": "assistant", "content": message.content})
            else:
                messages.append({"role": "user", "content": message.content})
        usage, finish_reason = Usage(0, 0), None
        try:
            with self._client.chat.completions.create(
                model=self._adapters[request.adapter] if request.adapter else self.name,
                messages=messages,
                max_tokens=sampling.max_new_tokens,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                stop=list(sampling.stop) or openai.omit,
                seed=sampling.seed if sampling.seed is not None else openai.omit,
                stream=True,
                stream_options={"include_usage": True},
            ) as chunks:
                for chunk in chunks:
                    if request.cancelled.is_set():
                        return
                    if chunk.usage:
                        usage = Usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
                    for choice in chunk.choices:
                        finish_reason = choice.finish_reason or finish_reason
                        if choice.delta.content:
                            yield Piece(choice.delta.content)
        except (openai.OpenAIError, httpx.HTTPError) as error:
            raise GeneratorError(
                f"the language model at {self._client.base_url} failed: {error}; check "
                "TWOFOLD_OPENAI_BASE_URL and that the server runs"
            ) from error
        yield Piece("", usage=usage, truncated=finish_reason == "length")
