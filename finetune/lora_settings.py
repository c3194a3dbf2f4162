"""PEFT's `adapter_config.json`: which layers an adapter has weights for, and of which rank."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from finetune.errors import DamagedAdapterError
from finetune.manifest import CONFIG_FILE, problems

# What PEFT puts around patterns; before the number of a layer, any name is the default.
AT_END = r"(.*\.)?({})$"
BEFORE_NUMBER = r"(?:^|.*?\.){}\.(?P<idx>\d+)\."


def _compiles(frame: str, pattern: str) -> str:
    try:
        re.compile(frame.replace("{}", pattern))
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
    return pattern


Pattern = Annotated[str, AfterValidator(partial(_compiles, "{}"))]
EndPattern = Annotated[str, AfterValidator(partial(_compiles, AT_END))]
LayerPattern = Annotated[str, AfterValidator(partial(_compiles, BEFORE_NUMBER))]


class LoraSettings(BaseModel):
    """What of PEFT's LoRA configuration decides where its weights are, and how large."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)

    r: int = Field(ge=1)
    lora_alpha: float = 8
    rank_pattern: dict[EndPattern, Annotated[int, Field(ge=1)]] | None = None
    alpha_pattern: dict[EndPattern, float] | None = None
    fan_in_fan_out: bool = False
    target_modules: Pattern | list[str] | None = None  # one string is a pattern
    exclude_modules: Pattern | list[str] | None = None
    modules_to_save: list[str] | None = None
    layers_to_transform: int | list[int] | None = None
    layers_pattern: LayerPattern | list[LayerPattern] | None = None

    def rank_of(self, module: str) -> int:
        """As PEFT reads `rank_pattern`: the first that matches the end of the name decides."""
        for pattern, rank in (self.rank_pattern or {}).items():
            if re.match(AT_END.replace("{}", pattern), module):
                return rank
        return self.r

    def leaves_out(self, layer: str) -> bool:
        """Whether PEFT passes over it: excluded, trained whole, or of a layer not asked for."""
        excluded, saved = self.exclude_modules or [], self.modules_to_save or []
        if isinstance(excluded, str):
            if re.fullmatch(excluded, layer):
                return True
        elif any(f".{layer}".endswith(f".{name}") for name in excluded):
            return True
        if any(f".{name}." in f".{layer}." for name in saved):
            return True
        chosen = self.layers_to_transform
        if chosen is None or chosen == [] or isinstance(self.target_modules, str):
            return False
        patterns = self.layers_pattern or [r".*?\.[^.]*"]
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            if found := re.match(BEFORE_NUMBER.replace("{}", pattern), layer):
                return int(found["idx"]) not in ([chosen] if isinstance(chosen, int) else chosen)
        return True


def read_config(directory: Path) -> dict[str, Any]:
    """PEFT's configuration, of LoRA or prompt tuning. Raises DamagedAdapterError."""
    path = directory / CONFIG_FILE
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedAdapterError(f"cannot read {path}: {error}; save the adapter again") from error
    kind = config.get("peft_type") if isinstance(config, dict) else None
    if kind not in ("LORA", "PROMPT_TUNING"):
        raise DamagedAdapterError(
            f"{path} is for {kind!r}; adapters are LORA or PROMPT_TUNING, as PEFT names them"
        )
    try:
        if kind == "LORA":
            LoraSettings.model_validate(config)
    except ValidationError as error:
        raise DamagedAdapterError(
            f"{path} is no configuration of LoRA: {problems(error)}; save the adapter again"
        ) from error
    return dict(config)
