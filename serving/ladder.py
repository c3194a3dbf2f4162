"""The rungs of the ladder, as the settings name them: who writes, who is next, who quotes."""

from __future__ import annotations

from serving.extractive_generator import ExtractiveGenerator
from serving.generation import Generator
from serving.openai_generator import OpenAIGenerator
from serving.prompts import CountTokens
from serving.settings import BUNDLED, GeneratorKind, Settings
from serving.transformers_generator import TransformersGenerator
from serving.writing import Writer
from starter import bundle


def build_writer(settings: Settings, count_tokens: CountTokens) -> Writer:
    """`count_tokens` serves the generators that have no tokenizer of their own.

    Raises:
        GeneratorError: the language model cannot be loaded; says what the setting takes.
    """
    quoting = ExtractiveGenerator(count_tokens)
    return Writer(
        generator=_generator(settings, quoting),
        quoting=quoting,
        fallbacks=_fallbacks(settings, quoting),
        small=settings.small_model,
    )


def _generator(settings: Settings, quoting: ExtractiveGenerator) -> Generator:
    if settings.generator is GeneratorKind.TRANSFORMERS:
        return TransformersGenerator(
            _language_model(settings),
            adapters_dir=settings.home / "adapters",
            nf4=settings.nf4,
            adapters_mib=settings.adapters_mib,
            batch=settings.generation_batch,
            queue=settings.generation_queue,
        )
    if settings.generator is GeneratorKind.OPENAI:
        return OpenAIGenerator(
            base_url=settings.openai_base_url or "",
            model=settings.openai_model or "",
            api_key=settings.openai_api_key.get_secret_value(),
            adapters=settings.openai_adapters,
            count_tokens=quoting.count_tokens,
        )
    return quoting


def _language_model(settings: Settings) -> str:
    """A folder or a hub name."""
    if settings.language_model == BUNDLED:
        return str(bundle.LANGUAGE_MODEL)
    return settings.language_model or ""


def _fallbacks(settings: Settings, quoting: ExtractiveGenerator) -> tuple[Generator, ...]:
    if not settings.fallback_openai_model:
        return ()
    fallback = OpenAIGenerator(
        base_url=settings.fallback_openai_base_url or "",
        model=settings.fallback_openai_model,
        api_key=settings.fallback_openai_api_key.get_secret_value(),
        adapters=settings.fallback_openai_adapters,
        count_tokens=quoting.count_tokens,
    )
    return (fallback,)
