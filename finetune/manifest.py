"""What is known about an adapter: `manifest.json` in its directory, and the base it belongs to."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    JsonValue,
    ValidationError,
)

from finetune.configuration import NAME_PATTERN, Method
from finetune.errors import AdapterError

WEIGHTS_FILE = "adapter_model.safetensors"
CONFIG_FILE = "adapter_config.json"
MANIFEST_FILE = "manifest.json"
FORMAT: Literal[1] = 1

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Utc = Annotated[AwareDatetime, AfterValidator(lambda moment: moment.astimezone(UTC))]


def _makes_adapter(method: Method) -> Method:
    if not method.makes_adapter:
        raise ValueError(f"{method} makes a model, not an adapter")
    return method


class State(StrEnum):
    """How far a version has come; it only goes forward."""

    CANDIDATE = "candidate"  # trained or imported, not answering anybody
    LIVE = "live"  # the one version of its name that answers
    RETIRED = "retired"  # has answered, and stays on disk for the record


@dataclass(frozen=True, slots=True)
class Base:
    """What tells one base model from another.

    `config_sha256` is of what shapes its architecture, `weights_sha256` a fingerprint of the
    weights, None where they are not on this machine. `shapes` are those of its parameters, by
    name, as they are before any quantisation: (out, in) for a linear layer.
    """

    name: str
    revision: str | None  # the hub's commit; None for a folder
    config_sha256: str
    weights_sha256: str | None
    tokenizer_sha256: str
    chat_template_sha256: str | None
    shapes: Mapping[str, tuple[int, ...]]
    quantized: bool = False  # the files themselves hold quantised weights


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an adapter comes from: its data and its run. None where nobody knows."""

    data_licence: str
    data_sha256: str | None = None
    training: Mapping[str, JsonValue] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    git_commit: str | None = None


class Manifest(BaseModel):
    """All that must be known to load an adapter safely, or to train it again.

    `state` is the one that a version starts in; the registry holds the present one, because the
    directory of a version never changes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1] = FORMAT
    name: str = Field(pattern=NAME_PATTERN)
    version: int = Field(default=1, ge=1)  # the registry gives the number
    base_model: str = Field(min_length=1)
    base_revision: str | None = None
    base_config_sha256: Sha256
    base_weights_sha256: Sha256 | None = None
    tokenizer_sha256: Sha256
    chat_template_sha256: Sha256 | None  # None: the base has no chat template
    adapter_model_sha256: Sha256
    adapter_config_sha256: Sha256
    data_sha256: Sha256 | None  # None: trained elsewhere
    data_licence: str = Field(min_length=1)
    method: Annotated[Method, AfterValidator(_makes_adapter)]
    training: dict[str, JsonValue]
    metrics: dict[str, FiniteFloat]
    state: State = State.CANDIDATE
    created_at: Utc
    git_commit: str | None = None

    @classmethod
    def read(cls, directory: Path) -> Manifest:
        """The manifest of an adapter's directory.

        Raises:
            AdapterError: it is missing, cannot be read, or says what this release does not know.
        """
        path = directory / MANIFEST_FILE
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise AdapterError(
                f"{directory} holds no {MANIFEST_FILE}; a PEFT adapter from elsewhere is added "
                "with `twofold adapters import DIR`"
            ) from error
        except OSError as error:
            raise AdapterError(f"cannot read {path}: {error.strerror or error}") from error
        except ValidationError as error:
            raise AdapterError(
                f"{path} is no manifest of format {FORMAT}: {problems(error)}; copy the adapter's "
                "directory again from where it came, or train it again"
            ) from error

    def json_text(self) -> str:
        """What `read` reads."""
        return self.model_dump_json(indent=2) + "\n"


@dataclass(frozen=True, slots=True)
class AdapterVersion:
    """One immutable version of an adapter, and how far it has come."""

    name: str
    version: int
    directory: Path
    manifest: Manifest
    state: State

    @property
    def label(self) -> str:
        """NAME@VERSION, as commands take it."""
        return f"{self.name}@{self.version}"


def describe(
    directory: Path, base: Base, *, name: str, method: Method, provenance: Provenance
) -> Manifest:
    """The manifest of a PEFT adapter that lies in a directory and was trained on the base.

    Raises:
        AdapterError: a file is missing, or lists every fact that cannot stand in a manifest.
    """
    check_name(name)
    try:
        return Manifest(
            name=name,
            base_model=base.name,
            base_revision=base.revision,
            base_config_sha256=base.config_sha256,
            base_weights_sha256=base.weights_sha256,
            tokenizer_sha256=base.tokenizer_sha256,
            chat_template_sha256=base.chat_template_sha256,
            adapter_model_sha256=file_sha256(directory / WEIGHTS_FILE),
            adapter_config_sha256=file_sha256(directory / CONFIG_FILE),
            data_sha256=provenance.data_sha256,
            data_licence=provenance.data_licence.strip(),
            method=method,
            training=dict(provenance.training),
            metrics=dict(provenance.metrics),
            created_at=datetime.now(UTC),
            git_commit=provenance.git_commit,
        )
    except ValidationError as error:
        raise AdapterError(f"adapter {name!r} cannot be described: {problems(error)}") from error


def check_name(name: str) -> None:
    """Raises AdapterError unless the name can be a folder, and part of a URL."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise AdapterError(
            f"{name!r} is no name for an adapter; use 1 to 63 of a-z, 0-9 and -, and start with a "
            "letter or a digit"
        )


def file_sha256(path: Path) -> str:
    """Hex SHA-256, as `sha256sum` prints it. Raises AdapterError when the file cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise AdapterError(
            f"{path.parent} holds no {path.name}; an adapter is a folder with {WEIGHTS_FILE} and "
            f"{CONFIG_FILE}, as PEFT's `save_pretrained` writes it"
        ) from error
    except OSError as error:
        raise AdapterError(f"cannot read {path}: {error.strerror or error}") from error


def problems(error: ValidationError) -> str:
    """Each on the field it is about, in one line."""
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'the file'}: {item['msg']}"
        for item in error.errors(include_url=False)
    )
