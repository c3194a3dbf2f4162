"""Do an adapter's weights fit the base's parameters? The header of its file and the base say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from finetune.lora_settings import LoraSettings, read_config
from finetune.manifest import CONFIG_FILE, WEIGHTS_FILE
from finetune.safetensors_header import Tensor, read_header

PEFT_PREFIX = "base_model.model."
LORA_KEY = re.compile(r"(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(\.weight)?")
# What PEFT saves of a layer beside LoRA: of DoRA, `lora_bias` and `trainable_token_indices`.
EXTRA_KEY = re.compile(
    r"(?P<module>.+)\.(lora_magnitude_vector(\.weight)?|lora_B\.bias"
    r"|token_adapter\.trainable_tokens_delta)"
)


def shape_problems(directory: Path, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """What in the adapter's weights does not fit the base's parameters, from the header alone.

    LoRA on a layer of shape (out, in) holds A of shape (rank, in) and B of shape (out, rank).
    """
    config = read_config(directory)
    tensors = {tensor.name: tensor for tensor in read_header(directory / WEIGHTS_FILE)}
    if config["peft_type"] == "PROMPT_TUNING":
        return list(_prompt_problems(tensors, shapes))
    lora, matches = LoraSettings.model_validate(config), {n: LORA_KEY.fullmatch(n) for n in tensors}
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
    tensor: Tensor, match: re.Match[str], lora: LoraSettings, shapes: Mapping[str, tuple[int, ...]]
) -> Iterator[str]:
    module = match["module"].removeprefix(PEFT_PREFIX)
    shape = shapes.get(f"{module}.weight")
    if len(tensor.shape) != 2:
        yield f"{tensor.name} has shape {tensor.shape}, which is no matrix; save the adapter again"
        return
    rank, expected = lora.rank_of(module), None
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
    lora: LoraSettings, adapted: set[str], shapes: Mapping[str, tuple[int, ...]]
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
        wanted = [layer for layer in named if not lora.leaves_out(layer)]
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
