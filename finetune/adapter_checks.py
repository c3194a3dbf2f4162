"""May this adapter run on this base? Files, weights, tokenizer, chat template and shapes say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from finetune.errors import DamagedAdapterError, IncompatibleAdapterError
from finetune.manifest import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    AdapterVersion,
    Base,
    Manifest,
    file_sha256,
    problems,
)
from finetune.safetensors_header import Tensor, read_header

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill")
PEFT_PREFIX = "base_model.model."
LORA_KEY = re.compile(r"(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(\.weight)?")
# What PEFT saves of a layer beside LoRA: of DoRA, `lora_bias` and `trainable_token_indices`.
EXTRA_KEY = re.compile(
    r"(?P<module>.+)\.(lora_magnitude_vector(\.weight)?|lora_B\.bias"
    r"|token_adapter\.trainable_tokens_delta)"
)


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


class _Lora(BaseModel):
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


def shape_problems(directory: Path, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """What in the adapter's weights does not fit the base's parameters, from the header alone.

    LoRA on a layer of shape (out, in) holds A of shape (rank, in) and B of shape (out, rank).
    """
    config = read_config(directory)
    tensors = {tensor.name: tensor for tensor in read_header(directory / WEIGHTS_FILE)}
    if config["peft_type"] == "PROMPT_TUNING":
        return list(_prompt_problems(tensors, shapes))
    lora, matches = _Lora.model_validate(config), {n: LORA_KEY.fullmatch(n) for n in tensors}
    if not any(matches.values()):
        return [f"{WEIGHTS_FILE} holds no LoRA weights; save the adapter again after training"]
    found: list[str] = []
    for name, tensor in tensors.items():
        if match := matches[name]:
            found += _lora_problems(tensor, match, lora, shapes)
            other = {"A": "B", "B": "A"}[match["side"]]
            twin = name[: match.start("side")] + other + name[match.end("side") :]
            if twin not in tensors:
                found.append(f"{name} stands without {twin}; save the adapter again")
        else:
            found += _other_problems(tensor, shapes)
    adapted = {match["module"].removeprefix(PEFT_PREFIX) for match in matches.values() if match}
    return [*found, *_target_problems(lora, adapted, shapes)]


def _lora_problems(
    tensor: Tensor, match: re.Match[str], lora: _Lora, shapes: Mapping[str, tuple[int, ...]]
) -> Iterator[str]:
    module = match["module"].removeprefix(PEFT_PREFIX)
    shape = shapes.get(f"{module}.weight")
    if len(tensor.shape) != 2:
        yield f"{tensor.name} has shape {tensor.shape}, which is no matrix; save the adapter again"
        return
    rank, expected = _rank(module, lora), None
    if shape is None:
        yield f"{tensor.name}: the base has no layer {module!r}; use the base it was trained on"
    elif len(shape) == 2:
        reads_rows = bool(match["embedding"]) or lora.fan_in_fan_out
        out_size, in_size = reversed(shape) if reads_rows else shape
        expected = (rank, in_size) if match["side"] == "A" else (out_size, rank)
    own_rank = tensor.shape[0 if match["side"] == "A" else 1]
    if own_rank != rank:
        yield f"{tensor.name} has rank {own_rank}, {CONFIG_FILE} says {rank}; use the right one"
    elif expected is not None and tensor.shape != expected:
        yield _differs(tensor.name, tensor.shape, expected)


def _other_problems(tensor: Tensor, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    """Of a tensor that is no LoRA matrix: a parameter trained whole, or an extra of a layer."""
    whole = tensor.name.removeprefix(PEFT_PREFIX).replace(".base_layer.", ".")
    extra = EXTRA_KEY.fullmatch(whole)
    shape = shapes.get(f"{extra['module']}.weight" if extra else whole)
    if shape is None:
        yield (
            f"{tensor.name}: the base has no such parameter; use the base it was trained on, or "
            "save the adapter again"
        )
    elif not extra and tensor.shape != shape:
        yield _differs(tensor.name, tensor.shape, shape)
    elif extra and (not tensor.shape or tensor.shape[-1] not in shape):
        yield (
            f"{tensor.name} has shape {tensor.shape}, its layer in this base has {shape}; use the "
            "base it was trained on"
        )


def _target_problems(
    lora: _Lora, adapted: set[str], shapes: Mapping[str, tuple[int, ...]]
) -> Iterator[str]:
    """What the configuration promises and the weights do not hold."""
    targets = lora.target_modules
    if targets is None or targets == "all-linear":  # PEFT saves the names it found instead
        return
    layers = [
        name.removesuffix(".weight")
        for name, shape in shapes.items()
        if name.endswith(".weight") and len(shape) > 1
    ]
    for target in [targets] if isinstance(targets, str) else targets:
        pattern = target if isinstance(targets, str) else rf"(?s:.*\.)?{re.escape(target)}"
        named = [layer for layer in layers if re.fullmatch(pattern, layer)]
        wanted = [layer for layer in named if not _is_left_out(layer, lora)]
        if missing := sorted(set(wanted) - adapted):
            yield (
                f"target_modules names {target!r}, and {len(missing)} of its {len(wanted)} layers "
                f"have no LoRA weights, {missing[0]!r} first; save the adapter again"
            )
        elif not named and not any(re.fullmatch(pattern, layer) for layer in adapted):
            yield (
                f"target_modules names {target!r}, which is neither in {WEIGHTS_FILE} nor in the "
                "base; use the base it was trained on"
            )


def _is_left_out(layer: str, lora: _Lora) -> bool:
    """Whether PEFT passes over a target: excluded, trained whole, or in a layer not asked for."""
    excluded, saved = lora.exclude_modules or [], lora.modules_to_save or []
    if isinstance(excluded, str):
        if re.fullmatch(excluded, layer):
            return True
    elif any(f".{layer}".endswith(f".{name}") for name in excluded):
        return True
    if any(f".{name}." in f".{layer}." for name in saved):
        return True
    chosen = lora.layers_to_transform
    if chosen is None or chosen == [] or isinstance(lora.target_modules, str):
        return False
    patterns = lora.layers_pattern or [r".*?\.[^.]*"]
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        if found := re.match(BEFORE_NUMBER.replace("{}", pattern), layer):
            return int(found["idx"]) not in ([chosen] if isinstance(chosen, int) else chosen)
    return True


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


def _rank(module: str, lora: _Lora) -> int:
    """As PEFT reads `rank_pattern`: the first pattern that matches the end of the name decides."""
    for pattern, rank in (lora.rank_pattern or {}).items():
        if re.match(AT_END.replace("{}", pattern), module):
            return rank
    return lora.r


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
            _Lora.model_validate(config)
    except ValidationError as error:
        raise DamagedAdapterError(
            f"{path} is no configuration of LoRA: {problems(error)}; save the adapter again"
        ) from error
    return dict(config)


def _short(sha256: str | None) -> str:
    return sha256[:12] if sha256 else "none"
