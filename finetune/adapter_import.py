"""A PEFT adapter that was trained elsewhere, described as the registry's own are."""

from __future__ import annotations

from pathlib import Path

from finetune.adapter_checks import check_formats
from finetune.adapter_shapes import shape_problems
from finetune.configuration import Method
from finetune.errors import IncompatibleAdapterError
from finetune.lora_settings import read_config
from finetune.manifest import Base, Manifest, Provenance, describe

METHODS = {"LORA": Method.LORA, "PROMPT_TUNING": Method.PROMPT_TUNING}
# Of its training, what PEFT's configuration knows and people ask about.
SETTINGS = ("r", "lora_alpha", "lora_dropout", "use_dora", "num_virtual_tokens")


def describe_import(path: Path, base: Base, *, name: str, licence: str) -> Manifest:
    """The manifest of a folder that PEFT wrote; its owner vouches for the base.

    Raises:
        IncompatibleAdapterError: its shapes do not fit the base.
        AdapterError: it cannot be read, or holds a pickle.
    """
    check_formats(path)
    config = read_config(path)
    if misfits := shape_problems(path, base.shapes):
        raise IncompatibleAdapterError(
            f"{path} does not fit the base {base.name!r}:\n"
            + "\n".join(f"  {misfit}" for misfit in misfits)
        )
    known = {setting: config[setting] for setting in SETTINGS if setting in config}
    provenance = Provenance(data_licence=licence, training=known)
    return describe(
        path, base, name=name, method=METHODS[config["peft_type"]], provenance=provenance
    )
