"""Any OpenAI-compatible server as the generator: vLLM, Ollama, llama.cpp, a hosted API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from serving.answers import Usage
from serving.errors import GeneratorError
from serving.generation import GenerationRequest, Piece
from serving.prompts import CountTokens, Prompt
from serving.thinking import ThinkingFilter

if TYPE_CHECKING:
    from openai import Stream
    from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam


class OpenAIGenerator:
    """`adapters` maps a voice to the name under which the server knows base + adapter.

    `count_tokens` is another model's, and so an estimate of what the server will count.
    """

    speaks = True

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        api_key: str,
        count_tokens: CountTokens,
        adapters: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        import openai

        self.name = model
        self.count_tokens = count_tokens
        # Servers that render a chat template themselves, such as vLLM, pass this on to it.
        self._extra_body: dict[str, object] | None = {
            "chat_template_kwargs": {"enable_thinking": False}
        }
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

        usage, finish_reason = Usage(0, 0), None
        answer = ThinkingFilter()
        try:
            with self._ask(request) as chunks:
                for chunk in chunks:
                    if request.cancelled.is_set():
                        return
                    if chunk.usage:
                        usage = Usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
                    for choice in chunk.choices:
                        finish_reason = choice.finish_reason or finish_reason
                        if text := answer.feed(choice.delta.content or ""):
                            yield Piece(text)
        except (openai.OpenAIError, httpx.HTTPError) as error:
            raise GeneratorError(
                f"the language model at {self._client.base_url} failed: {error}; check "
                "TWOFOLD_OPENAI_BASE_URL and that the server runs"
            ) from error
        if rest := answer.finish():
            yield Piece(rest)
        yield Piece("", usage=usage, truncated=finish_reason == "length")

    def _ask(self, request: GenerationRequest) -> Stream[ChatCompletionChunk]:
        """Begin to stream. A server that refuses what it does not know is asked without it."""
        import openai

        try:
            return self._create(request)
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            if not self._extra_body or "chat_template_kwargs" not in str(error):
                raise
            self._extra_body = None
            return self._create(request)

    def _create(self, request: GenerationRequest) -> Stream[ChatCompletionChunk]:
        import openai

        sampling = request.sampling
        return self._client.chat.completions.create(
            model=self._adapters[request.adapter] if request.adapter else self.name,
            messages=_messages(request.prompt),
            max_tokens=sampling.max_new_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            stop=list(sampling.stop) or openai.omit,
            seed=sampling.seed if sampling.seed is not None else openai.omit,
            stream=True,
            stream_options={"include_usage": True},
            extra_body=self._extra_body,
        )


def _messages(prompt: Prompt) -> list[ChatCompletionMessageParam]:
    messages: list[ChatCompletionMessageParam] = []
    if prompt.system:
        messages.append({"role": "system", "content": prompt.system})
    for message in prompt.messages:
        if message.role == "assistant":
            messages.append({"role": "assistant", "content": message.content})
        else:
            messages.append({"role": "user", "content": message.content})
    return messages
