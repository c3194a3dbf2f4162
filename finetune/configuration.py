"""What decides a training run, from a TOML file: a preset, and what the file says otherwise.

Defaults are those of QLoRA (Dettmers et al. 2023) and of the libraries where they agree; `twofold
train plan` says what fits a GPU.
"""

from __future__ import annotations

import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from finetune.errors import ConfigurationError

PRESETS = Path(__file__).parent / "presets"
NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"


class Method(StrEnum):
    """What is trained."""

    QLORA = "qlora"  # LoRA over a base in 4 bit
    LORA = "lora"  # LoRA over a base in 16 bit (32 on a CPU)
    PROMPT_TUNING = "prompt_tuning"  # vectors before the text; no weight of the base
    FULL = "full"  # every weight: the result is a model, not an adapter

    @property
    def makes_adapter(self) -> bool:
        """Whether the base stays as it is."""
        return self is not Method.FULL


class Targets(StrEnum):
    """Which layers get LoRA."""

    ATTENTION = "attention"  # q, k, v, o
    ALL_LINEAR = "all-linear"  # the feed-forward layers too; never the LM head


class Optimizer(StrEnum):
    """By the name that transformers gives it."""

    PAGED_ADAMW_8BIT = "paged_adamw_8bit"
    PAGED_ADAMW = "paged_adamw_32bit"
    ADAMW = "adamw_torch"


class TrainingConfiguration(BaseModel):
    """Frozen; unknown keys are errors. Lengths count tokens; paths are relative to the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: Annotated[str, StringConstraints(pattern=NAME_PATTERN)]  # of the adapter
    base_model: str  # hub name or folder
    base_revision: str | None = None
    train: Path
    validation: Path | None = None  # default: a share of `train`
    validation_rate: float = Field(default=0.1, gt=0, lt=1)
    data_licence: str = Field(min_length=1)

    method: Method = Method.QLORA
    rank: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.05, ge=0, lt=1)
    targets: Targets = Targets.ATTENTION
    virtual_tokens: int = Field(default=20, ge=1)  # of prompt tuning
    double_quantization: bool = True

    max_tokens: int = Field(default=2048, ge=16)
    batch_size: int = Field(default=2, ge=1)
    accumulation: int = Field(default=8, ge=1)
    epochs: float = Field(default=3, gt=0, le=1000)
    max_steps: int | None = Field(default=None, ge=1)  # instead of epochs
    learning_rate: float = Field(default=2e-4, gt=0)
    warmup_rate: float = Field(default=0.03, ge=0, lt=1)  # share of the steps; then a cosine to 0
    weight_decay: float = Field(default=0, ge=0)
    optimizer: Optimizer = Optimizer.PAGED_ADAMW_8BIT
    packing: bool = False  # needs FlashAttention: without it, examples would see one another
    activation_checkpointing: bool = True

    evaluate_steps: int | None = Field(default=None, ge=1)  # default: ten times a run
    patience: int = Field(default=3, ge=1)  # evaluations without a better loss before it stops
    samples: int = Field(default=3, ge=0)  # validation prompts that are answered at each evaluation
    sample_tokens: int = Field(default=64, ge=1)
    seed: int = 20261126


def load_configuration(path: Path) -> TrainingConfiguration:
    """A file's configuration, over the preset that its key `preset` names.

    Raises:
        ConfigurationError: unreadable, an unknown preset, or wrong; lists every problem.
    """
    values = _read(path)
    preset = values.pop("preset", None)
    if preset is not None:
        values = read_preset(preset) | values
    try:
        configuration = TrainingConfiguration.model_validate(values)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise ConfigurationError(f"{path}:\n  " + "\n  ".join(problems)) from error
    return configuration.model_copy(
        update={
            "train": (path.parent / configuration.train).resolve(),
            "validation": (path.parent / configuration.validation).resolve()
            if configuration.validation
            else None,
            "base_model": _base(path.parent, configuration.base_model),
        }
    )


def read_preset(name: str) -> dict[str, Any]:
    """What a preset says. Raises ConfigurationError."""
    if name not in preset_names():
        raise ConfigurationError(f"no preset {name!r}; there are {', '.join(preset_names())}")
    return _read(PRESETS / f"{name}.toml")


def preset_names() -> list[str]:
    """All of them, sorted."""
    return sorted(file.stem for file in PRESETS.glob("*.toml"))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error


def _base(folder: Path, given: str) -> str:
    """A folder beside the file, else the name as it is."""
    beside = folder / given
    return str(beside.resolve()) if beside.is_dir() else given
