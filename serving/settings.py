"""All settings, read once: a profile's TOML file, overridden by TWOFOLD_ environment variables."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pydantic_settings
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from retrieval.documents import DEFAULT_TENANT, EVERYONE
from retrieval.reranking import RERANK_CANDIDATES, RERANK_WEIGHT
from serving.errors import SettingsError

PREFIX = "TWOFOLD_"
PROFILES = Path(__file__).parent / "profiles"
DEFAULT_PROFILE = "starter"
BUNDLED = "bundled"


class GeneratorKind(StrEnum):
    """Who writes answers."""

    EXTRACTIVE = "extractive"
    TRANSFORMERS = "transformers"
    OPENAI = "openai"


class StoreKind(StrEnum):
    """Where passages are kept and found."""

    EDGE = "edge"  # in this process, in the data folder
    QDRANT = "qdrant"  # a server


class KeySettings(BaseModel):
    """An API key and who its bearer is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: SecretStr = Field(min_length=16)
    tenant: str = DEFAULT_TENANT
    groups: tuple[str, ...] = (EVERYONE,)


class Settings(BaseSettings):
    """Frozen; built by `load_settings` and passed down."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    home: Path = Field(default_factory=lambda: Path.home() / ".local" / "share" / "twofold")
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    public_url: str | None = None  # what citations' urls start with; default: as the client asked
    keys: tuple[KeySettings, ...] = ()

    models_dir: Path | None = None  # default: home/models
    embedder: str = BUNDLED  # or a sentence-transformers name or folder
    unit_embedder: Literal["bundled", "none"] = "none"  # which sentence answers; or `embedder` says
    reranker: str | None = None  # "bundled", or a sentence-transformers CrossEncoder or folder
    rerank_candidates: int = Field(default=RERANK_CANDIDATES, ge=1, le=100)
    rerank_weight: float = Field(default=RERANK_WEIGHT, ge=0)  # 0: it does not order passages
    rerank_budget_ms: float = Field(default=1000.0, gt=0)  # then what is scored so far decides
    store: StoreKind = StoreKind.EDGE
    qdrant_url: str | None = None  # of a server of version 1.19 or newer; without a port, 6333
    qdrant_api_key: SecretStr | None = None
    qdrant_collection: str = Field(default="twofold", pattern=r"^[\w.-]+$")
    language: str = "english"  # of BM25's stemmer and stop words
    passage_tokens: int = Field(default=160, ge=32, le=2048)
    router_head: Path | None = None  # default: the bundled one
    answerability: Path | None = None  # default: the bundled one

    generator: GeneratorKind = GeneratorKind.EXTRACTIVE
    language_model: str | None = None  # "bundled", a folder or hub name: generator = transformers
    small_model: bool = False  # retrieval decides what is to the point, not the language model
    nf4: bool = True  # 4-bit weights on CUDA
    adapters_mib: int = Field(default=1024, ge=1)  # memory for adapters; unused ones leave first
    voices_dir: Path | None = None  # NAME.jsonl with a voice's examples; default: home/voices
    generation_batch: int = Field(default=16, ge=1, le=256)  # answers that are written at once
    generation_queue: int = Field(default=16, ge=1)  # and that wait; more are turned away
    openai_base_url: str | None = None
    openai_model: str | None = None
    openai_api_key: SecretStr = SecretStr("none")
    openai_adapters: Mapping[str, str] = {}  # voice -> the server's model name for it
    fallback_openai_base_url: str | None = None  # asked when what `generator` wrote is not released
    fallback_openai_model: str | None = None
    fallback_openai_api_key: SecretStr = SecretStr("none")
    fallback_openai_adapters: Mapping[str, str] = {}
    prompt_instructions: bool = True  # false: the model was trained on prompts of passages alone
    prompt_tokens: int = Field(default=3000, ge=256)
    passages_per_prompt: int = Field(default=6, ge=1, le=20)
    max_new_tokens: int = Field(default=512, ge=1)

    starter_documents: bool = False  # index the bundled help centre when there is no document yet
    max_question_chars: int = Field(default=20_000, ge=100)
    max_upload_mib: int = Field(default=32, ge=1)

    @property
    def models_folder(self) -> Path:
        """Where exported models are kept."""
        return self.models_dir or self.home / "models"

    @property
    def voices_folder(self) -> Path:
        """Where voices lie that are examples only."""
        return self.voices_dir or self.home / "voices"


def load_settings(profile: str = DEFAULT_PROFILE, **overrides: Any) -> Settings:
    """The profile's file, then TWOFOLD_ variables, then what the command line gave.

    Raises:
        SettingsError: lists every unknown or unusable setting at once.
    """
    path = PROFILES / f"{profile}.toml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in PROFILES.glob("*.toml")))
        raise SettingsError(f"no profile {profile!r}; there are: {known}")
    problems = [
        f"{name} is no setting; see `twofold doctor --settings`"
        for name in sorted(os.environ)
        if name.startswith(PREFIX)
        and name.removeprefix(PREFIX).lower() not in Settings.model_fields
    ]
    given = {name: value for name, value in overrides.items() if value is not None}
    environment = {
        name for name in Settings.model_fields if f"{PREFIX}{name}".upper() in os.environ
    }
    from_file = {
        name: value
        for name, value in tomllib.loads(path.read_text()).items()
        if name not in environment
    }
    try:
        settings = Settings(**{**from_file, **given})
    except pydantic_settings.SettingsError as error:
        problems.append(f"{error}; lists and tables are written as JSON")
        raise SettingsError("\n".join(problems)) from error
    except ValidationError as error:
        problems += [
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}, "
            f"got {item['input'] if 'key' not in str(item['loc']) else '(hidden)'!r}"
            for item in error.errors()
        ]
        raise SettingsError("\n".join(problems)) from error
    problems += _inconsistencies(settings)
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def _inconsistencies(settings: Settings) -> list[str]:
    problems = []
    if settings.generator is GeneratorKind.TRANSFORMERS and not settings.language_model:
        problems.append(
            "generator = transformers needs language_model: bundled, a folder or hub name"
        )
    if settings.generator is GeneratorKind.OPENAI:
        for name in ("openai_base_url", "openai_model"):
            if not getattr(settings, name):
                problems.append(f"generator = openai needs {name}")
    if bool(settings.fallback_openai_base_url) != bool(settings.fallback_openai_model):
        problems.append("fallback_openai_base_url and fallback_openai_model go together; set both")
    elif settings.fallback_openai_model and settings.generator is GeneratorKind.EXTRACTIVE:
        problems.append("a fallback needs a generator before it: transformers or openai")
    if settings.store is StoreKind.QDRANT:
        if not settings.qdrant_url:
            problems.append("store = qdrant needs qdrant_url, such as http://localhost:6333")
        elif not settings.qdrant_url.startswith(("http://", "https://")):
            problems.append(
                f"qdrant_url starts with http:// or https://, got {settings.qdrant_url!r}"
            )
    if len({key.key.get_secret_value() for key in settings.keys}) < len(settings.keys):
        problems.append("keys: the same key stands twice")
    return problems
