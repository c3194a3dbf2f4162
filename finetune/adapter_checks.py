"""May this adapter run on this base? Files, weights, tokenizer, chat template and shapes say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from finetune.adapter_shapes import shape_problems
from finetune.errors import DamagedAdapterError, IncompatibleAdapterError
from finetune.lora_settings import read_config
from finetune.manifest import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    AdapterVersion,
    Base,
    Manifest,
    file_sha256,
)
from finetune.safetensors_header import read_header

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill")


def check_files(directory: Path, manifest: Manifest) -> None:
    """The files are whole, the ones described, and nothing in them runs code when loaded.

    Raises:
        DamagedAdapterError: names the file, and says what to do.
    """
    check_formats(directory)
    for file_name, expected in (
        (WEIGHTS_FILE, manifest.adapter_model_sha256),
        (CONFIG_FILE, manifest.adapter_config_sha256),
    ):
        actual = file_sha256(directory / file_name)
        if actual != expected:
            raise DamagedAdapterError(
                f"{directory / file_name} has changed: its SHA-256 is {actual}, the manifest says "
                f"{expected}; restore the file, or add the folder as a new version"
            )
    read_config(directory)
    read_header(directory / WEIGHTS_FILE)


def check_formats(directory: Path) -> None:
    """Both files of an adapter are there, and none in a format that can run code.

    Raises:
        DamagedAdapterError: names what is missing or refused.
    """
    try:
        names = sorted(file.name for file in directory.iterdir())
    except OSError as error:
        raise DamagedAdapterError(
            f"cannot read the folder {directory}: {error.strerror or error}; give the folder that "
            f"holds {WEIGHTS_FILE}"
        ) from error
    if pickles := [name for name in names if name.lower().endswith(PICKLES)]:
        raise DamagedAdapterError(
            f"{directory} holds {', '.join(pickles)}: pickles can run code and are never opened; "
            f"delete what is no weights, save weights as {WEIGHTS_FILE}, and try again"
        )
    if missing := {WEIGHTS_FILE, CONFIG_FILE} - set(names):
        raise DamagedAdapterError(
            f"{directory} holds no {' and no '.join(sorted(missing))}; give the folder that PEFT's "
            "`save_pretrained` wrote"
        )


def check_fits(version: AdapterVersion, base: Base) -> None:
    """The adapter was trained for this base and talks to it as it did in training.

    Weights decide which base it is, where the fingerprints of both are known: a folder and a hub
    name may hold the same model.

    Raises:
        IncompatibleAdapterError: lists everything that differs, with both values.
    """
    misfits = [
        *_identity_problems(version.manifest, base),
        *shape_problems(version.directory, base.shapes),
    ]
    if misfits:
        raise IncompatibleAdapterError(
            f"adapter {version.label} does not fit the base {base.name!r}:\n"
            + "\n".join(f"  {misfit}" for misfit in misfits)
        )


def _identity_problems(manifest: Manifest, base: Base) -> Iterator[str]:
    trained_on = f"{manifest.base_model!r}" + (
        f" at {manifest.base_revision}" if manifest.base_revision else ""
    )
    weights = (manifest.base_weights_sha256, base.weights_sha256)
    if None not in weights and weights[0] != weights[1]:
        yield (
            f"base: trained on {trained_on} with weights {_short(weights[0])}, this base has "
            f"{_short(weights[1])}; use {trained_on}"
        )
    if manifest.base_config_sha256 != base.config_sha256:
        yield (
            f"architecture: trained on one with hash {_short(manifest.base_config_sha256)}, this "
            f"base has {_short(base.config_sha256)}; use {trained_on}"
        )
    if manifest.tokenizer_sha256 != base.tokenizer_sha256:
        yield (
            f"tokenizer: trained with {_short(manifest.tokenizer_sha256)}, this base has "
            f"{_short(base.tokenizer_sha256)}; use the tokenizer files of {trained_on}"
        )
    if manifest.chat_template_sha256 != base.chat_template_sha256:
        yield (
            f"chat template: trained with {_short(manifest.chat_template_sha256)}, this base has "
            f"{_short(base.chat_template_sha256)}; use the chat template of {trained_on}, or train "
            "again with this one"
        )


def _short(sha256: str | None) -> str:
    return sha256[:12] if sha256 else "none"
