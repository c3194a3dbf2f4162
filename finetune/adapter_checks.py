"""May this adapter run on this base? Files, weights, tokenizer, chat template and shapes say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from finetune.errors import DamagedAdapterError, IncompatibleAdapterError
from finetune.manifest import CONFIG_FILE, WEIGHTS_FILE, AdapterVersion, Base, Manifest, file_sha256
from finetune.safetensors_header import Tensor, read_header

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
PEFT_PREFIX = "base_model.model."
LORA_KEY = re.compile(r"(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(\.weight)?")


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
    problems = [
        *_identity_problems(version.manifest, base),
        *shape_problems(version.directory, base.shapes),
    ]
    if problems:
        raise IncompatibleAdapterError(
            f"adapter {version.label} does not fit the base {base.name!r}:\n"
            + "\n".join(f"  {problem}" for problem in problems)
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


def shape_problems(directory: Path, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """What in the adapter's weights does not fit the base's parameters, from the header alone.

    LoRA on a layer of shape (out, in) holds A of shape (rank, in) and B of shape (out, rank).
    """
    config = read_config(directory)
    tensors = {tensor.name: tensor for tensor in read_header(directory / WEIGHTS_FILE)}
    if config["peft_type"] == "PROMPT_TUNING":
        return list(_prompt_problems(tensors, shapes))
    matches = {name: LORA_KEY.fullmatch(name) for name in tensors}
    if not any(matches.values()):
        return [f"{WEIGHTS_FILE} holds no LoRA weights; save the adapter again after training"]
    problems: list[str] = []
    for name, tensor in tensors.items():
        if match := matches[name]:
            problems += _lora_problems(tensor, match, config, shapes)
            other = {"A": "B", "B": "A"}[match["side"]]
            twin = name[: match.start("side")] + other + name[match.end("side") :]
            if twin not in tensors:
                problems.append(f"{name} stands without {twin}; save the adapter again")
        elif (whole := name.removeprefix(PEFT_PREFIX)) in shapes and tensor.shape != shapes[whole]:
            problems.append(_differs(name, tensor.shape, shapes[whole]))
    return problems


def _lora_problems(
    tensor: Tensor,
    match: re.Match[str],
    config: Mapping[str, Any],
    shapes: Mapping[str, tuple[int, ...]],
) -> Iterator[str]:
    module = match["module"].removeprefix(PEFT_PREFIX)
    shape = shapes.get(f"{module}.weight")
    if len(tensor.shape) != 2:
        yield f"{tensor.name} has shape {tensor.shape}, which is no matrix; save the adapter again"
        return
    rank, expected = _rank(module, config), None
    if shape is None:
        yield f"{tensor.name}: the base has no layer {module!r}; use the base it was trained on"
    elif len(shape) == 2:
        reads_rows = bool(match["embedding"]) or config.get("fan_in_fan_out", False)
        out_size, in_size = reversed(shape) if reads_rows else shape
        expected = (rank, in_size) if match["side"] == "A" else (out_size, rank)
    own_rank = tensor.shape[0 if match["side"] == "A" else 1]
    if own_rank != rank:
        yield f"{tensor.name} has rank {own_rank}, {CONFIG_FILE} says {rank}; use the right one"
    elif expected is not None and tensor.shape != expected:
        yield _differs(tensor.name, tensor.shape, expected)


def _prompt_problems(
    tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]
) -> Iterator[str]:
    prompt = tensors.get("prompt_embeddings")
    if prompt is None:
        yield f"{WEIGHTS_FILE} holds no prompt_embeddings; save the adapter again after training"
        return
    embeddings = ("embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight")
    for name, shape in shapes.items():
        if name.endswith(embeddings) and prompt.shape[-1] != shape[-1]:
            yield _differs(prompt.name, prompt.shape, (prompt.shape[0], shape[-1]))


def _differs(name: str, actual: tuple[int, ...], expected: tuple[int, ...]) -> str:
    return f"{name} has shape {actual}, this base needs {expected}; use the base it was trained on"


def _rank(module: str, config: Mapping[str, Any]) -> int:
    """As PEFT reads `rank_pattern`: the first pattern that matches the end of the name decides."""
    for pattern, rank in (config.get("rank_pattern") or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return int(rank)
    return int(config["r"])


def read_config(directory: Path) -> dict[str, Any]:
    """PEFT's configuration, of LoRA or prompt tuning. Raises DamagedAdapterError."""
    path = directory / CONFIG_FILE
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DamagedAdapterError(f"cannot read {path}: {error}; save the adapter again") from error
    kind = config.get("peft_type") if isinstance(config, dict) else None
    if kind not in ("LORA", "PROMPT_TUNING"):
        raise DamagedAdapterError(
            f"{path} is for {kind!r}; adapters are LORA or PROMPT_TUNING, as PEFT names them"
        )
    if kind == "LORA" and not isinstance(config.get("r"), int):
        raise DamagedAdapterError(f"{path} gives no rank `r`; save the adapter again")
    return dict(config)


def _short(sha256: str | None) -> str:
    return sha256[:12] if sha256 else "none"
