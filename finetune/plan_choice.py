"""What fits a card: batch, accumulation and length; and where nothing does, what to change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from finetune.configuration import Method, Optimizer, Targets
from finetune.memory_plan import ADAPTED, Load, MemoryPlan, Recipe, plan_memory
from finetune.model_shapes import Shape, known_shapes

EFFECTIVE_BATCH = 16  # examples a step: what `batch` and `accumulation` multiply to
BATCHES = (8, 4, 2, 1)  # more than 8 gains no speed on texts of common length
LENGTHS = (2048, 1536, 1024, 768, 512)
LENGTH_STEP = 64


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change that makes it fit, and what it then takes."""

    change: str
    total_gib: float


@dataclass(frozen=True, slots=True)
class Choice:
    """What fits; or, where `fits` is False, the least that was tried, and remedies."""

    load: Load
    plan: MemoryPlan
    fits: bool
    longest_tokens: int  # that fits with this batch; 0 where none does
    remedies: tuple[Remedy, ...] = ()


def choose(
    shape: Shape,
    vram_gib: float,
    recipe: Recipe,
    *,
    effective_batch: int = EFFECTIVE_BATCH,
    batches: Sequence[int] = BATCHES,
    lengths: Sequence[int] = LENGTHS,
) -> Choice:
    """The first length that fits with any batch, and the largest batch that fits it.

    Accumulation keeps `effective_batch`, rounded up where the batch does not divide it.
    """
    usable = [length for length in lengths if length <= shape.context] or [shape.context]
    for length in usable:
        for batch in batches:
            load = _load(min(batch, effective_batch), length, effective_batch)
            plan = plan_memory(shape, recipe, load)
            if plan.total_gib <= vram_gib:
                longest = longest_tokens(shape, vram_gib, recipe, batch=load.batch)
                return Choice(load, plan, fits=True, longest_tokens=longest)
    least = _load(min(batches), min(usable), effective_batch)
    return Choice(
        least,
        plan_memory(shape, recipe, least),
        fits=False,
        longest_tokens=longest_tokens(shape, vram_gib, recipe, batch=least.batch),
        remedies=_remedies(shape, vram_gib, recipe, least),
    )


def longest_tokens(shape: Shape, vram_gib: float, recipe: Recipe, *, batch: int = 1) -> int:
    """The greatest multiple of 64, within the model's context, that fits; 0 when none does."""
    low, high = 0, shape.context // LENGTH_STEP
    while low < high:
        middle = (low + high + 1) // 2
        plan = plan_memory(shape, recipe, Load(batch, middle * LENGTH_STEP))
        low, high = (middle, high) if plan.total_gib <= vram_gib else (low, middle - 1)
    return low * LENGTH_STEP


def _load(batch: int, length: int, effective_batch: int) -> Load:
    return Load(batch, length, accumulation=-(-effective_batch // batch))


def _remedies(shape: Shape, vram_gib: float, recipe: Recipe, load: Load) -> tuple[Remedy, ...]:
    """Changes that fit: one at a time, then the recipe's all together; at last a larger card."""
    found = []
    for change, changed in _lighter_recipes(recipe):
        total = plan_memory(shape, changed, load).total_gib
        if total <= vram_gib:
            found.append(Remedy(change, total))
    if load.batch > 1:
        single = replace(load, batch=1, accumulation=load.accumulation * load.batch)
        total = plan_memory(shape, recipe, single).total_gib
        if total <= vram_gib:
            found.append(Remedy(f"batch 1, accumulation {single.accumulation}", total))
    found += _shorter(shape, vram_gib, recipe, load)
    found += _smaller(shape, vram_gib, recipe, load)
    needed = plan_memory(shape, recipe, load).total_gib
    return (*found, Remedy(f"a GPU with {needed:.1f} GiB", needed))


def _lighter_recipes(recipe: Recipe) -> list[tuple[str, Recipe]]:
    changes: list[tuple[str, Recipe]] = []
    if recipe.method is not Method.QLORA:
        word = recipe.method.value.replace("_", " ")
        changes.append((f"qlora instead of {word}", replace(recipe, method=Method.QLORA)))
    if not recipe.activation_checkpointing:
        changes.append(("activation checkpointing", replace(recipe, activation_checkpointing=True)))
    attention = ADAPTED[Targets.ATTENTION]
    if recipe.layers_adapted and set(recipe.adapted) - set(attention):
        changes.append(("LoRA on attention alone", replace(recipe, adapted=attention)))
    if recipe.optimizer is not Optimizer.PAGED_ADAMW_8BIT:
        light = replace(recipe, optimizer=Optimizer.PAGED_ADAMW_8BIT)
        changes.append(("optimizer states in 8 bit", light))
    if len(changes) > 1:
        changes.append(("all of these at once", _lightest(recipe)))
    return changes


def _lightest(recipe: Recipe) -> Recipe:
    return replace(
        recipe,
        method=Method.QLORA,
        activation_checkpointing=True,
        adapted=ADAPTED[Targets.ATTENTION],
        optimizer=Optimizer.PAGED_ADAMW_8BIT,
    )


def _shorter(shape: Shape, vram_gib: float, recipe: Recipe, load: Load) -> list[Remedy]:
    longest = longest_tokens(shape, vram_gib, recipe, batch=load.batch)
    if not 0 < longest < load.max_tokens:
        return []
    total = plan_memory(shape, recipe, replace(load, max_tokens=longest)).total_gib
    return [Remedy(f"at most {longest:,} tokens", total)]


def _smaller(shape: Shape, vram_gib: float, recipe: Recipe, load: Load) -> list[Remedy]:
    """The largest known model that fits as it is asked for."""
    fitting = []
    for smaller in known_shapes().values():
        if smaller.parameters < shape.parameters and load.max_tokens <= smaller.context:
            total = plan_memory(smaller, recipe, load).total_gib
            if total <= vram_gib:
                fitting.append((smaller.parameters, smaller.name, total))
    if not fitting:
        return []
    _, name, total = max(fitting)
    return [Remedy(f"the smaller model {name}", total)]
