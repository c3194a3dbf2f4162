from dataclasses import replace

import pytest

from finetune.configuration import Method, Optimizer, Targets
from finetune.memory_plan import (
    ADAPTED,
    GIB,
    Load,
    MemoryPlan,
    Recipe,
    plan_memory,
    saved_bytes_per_token,
    trained_parameters,
)
from finetune.model_shapes import find_shape
from finetune.plan_choice import choose, longest_tokens

LLAMA = find_shape("Llama-3.1-8B")
QWEN = find_shape("Qwen3-8B")
ALL_LINEAR = Recipe(adapted=ADAPTED[Targets.ALL_LINEAR])


def gib_of(plan: MemoryPlan, name: str) -> float:
    return next(term.gib for term in plan.terms if term.name.startswith(name))


def test_llama_8b_lands_between_the_published_marks() -> None:
    # Batch 2 x 2,048 in 4 bit: torchtune 7.4 GiB, LLaMA-Factory 9 GB (8.4 GiB).
    assert 7.0 < plan_memory(LLAMA, Recipe(), Load()).allocated_gib < 8.4


def test_terms_add_up() -> None:
    plan = plan_memory(LLAMA, Recipe(), Load())

    inside = sum(term.gib for term in plan.terms)
    assert plan.allocated_gib == pytest.approx(inside)
    assert plan.total_gib == pytest.approx(1.05 * inside + 0.5)


def test_weights_of_llama_8b_are_those_by_hand() -> None:
    plan = plan_memory(LLAMA, Recipe(), Load())
    # 32 layers of 2 * 4096² + 2 * 4096 * 1024 + 3 * 4096 * 14336 weights, 4.127 bits each.
    assert gib_of(plan, "linear layers") == pytest.approx(6_979_321_856 * 4.127 / 8 / GIB, rel=1e-3)
    # 2 * 128,256 * 4,096 in the embeddings and the head, 65 norms of 4,096, 2 bytes each.
    assert gib_of(plan, "embeddings") == pytest.approx((1_050_673_152 + 266_240) * 2 / GIB)


def test_adapter_of_rank_16_counts_as_peft_does() -> None:
    # Llama-3.1-8B: 16 * (8192 + 5120 + 5120 + 8192) a layer; PEFT prints 13,631,488 and, for all
    # linear layers, 41,943,040.
    assert trained_parameters(LLAMA, Recipe()) == 13_631_488
    assert trained_parameters(LLAMA, ALL_LINEAR) == 41_943_040


def test_prompt_tuning_trains_its_virtual_tokens() -> None:
    recipe = Recipe(method=Method.PROMPT_TUNING, virtual_tokens=20)
    assert trained_parameters(LLAMA, recipe) == 20 * 4096


@pytest.mark.parametrize(
    ("recipe", "bytes_per_token"),
    [
        # Counted from every live allocation of a simulated step on layers of Llama-3.1-8B.
        (Recipe(), 188_888),
        (Recipe(dropout=0), 148_196),
        (Recipe(adapted=("q", "v")), 164_412),
        (Recipe(method=Method.PROMPT_TUNING), 139_668),
    ],
)
def test_layer_keeps_what_a_simulated_step_keeps(recipe: Recipe, bytes_per_token: int) -> None:
    assert saved_bytes_per_token(LLAMA, recipe) == pytest.approx(bytes_per_token, rel=0.01)


@pytest.mark.parametrize(
    ("model", "recipe", "load", "bytes_per_token"),
    [
        # The same simulation: its peak less the inputs that checkpointing keeps.
        (LLAMA, Recipe(), Load(2, 2048), 291_556),
        (LLAMA, Recipe(), Load(2, 4096), 291_452),
        (LLAMA, Recipe(), Load(1, 512), 481_688),
        (LLAMA, Recipe(dropout=0), Load(2, 2048), 250_596),
        (LLAMA, ALL_LINEAR, Load(4, 8192), 334_402),
        (LLAMA, ALL_LINEAR, Load(1, 512), 527_064),
        (LLAMA, replace(ALL_LINEAR, dropout=0), Load(4, 8192), 258_612),
        (LLAMA, Recipe(adapted=("q", "v"), stored_bytes=4), Load(2, 2048), 439_100),
        (QWEN, Recipe(), Load(2, 2048), 287_620),
    ],
)
def test_peak_of_a_layer_is_that_of_a_simulated_step(
    model: object, recipe: Recipe, load: Load, bytes_per_token: int
) -> None:
    shape = LLAMA if model is LLAMA else QWEN
    peak = gib_of(plan_memory(shape, recipe, load), "backward pass") * GIB

    assert peak / load.tokens == pytest.approx(bytes_per_token, rel=0.03)


def test_single_quantisation_takes_more() -> None:
    single = plan_memory(LLAMA, Recipe(double_quantization=False), Load())
    double = plan_memory(LLAMA, Recipe(), Load())
    # (0.5 - 0.127) bits of 6.98 billion weights.
    assert single.allocated_gib - double.allocated_gib == pytest.approx(0.303, abs=0.001)


def test_adamw_in_32_bit_takes_four_times_the_states() -> None:
    recipe = Recipe(optimizer=Optimizer.ADAMW)
    plan = plan_memory(LLAMA, recipe, Load())
    assert gib_of(plan, "optimizer") == pytest.approx(13_631_488 * 8 / GIB)


def test_full_training_holds_weights_gradients_and_states() -> None:
    plan = plan_memory(LLAMA, Recipe(method=Method.FULL), Load(1, 512))
    # 8.03 billion weights of 2 bytes, as many of gradients, 2.03 bytes of states: 48.4e9 bytes.
    three = sum(gib_of(plan, name) for name in ("weights", "gradients", "optimizer"))
    assert three == pytest.approx(8_030_261_248 * 6.03125 / GIB)


def test_without_checkpointing_every_layer_keeps_its_activations() -> None:
    plan = plan_memory(LLAMA, Recipe(activation_checkpointing=False), Load(2, 2048))
    assert gib_of(plan, "activations") == pytest.approx(32 * 4096 * 188_672 / GIB)


def test_record_holds_every_term() -> None:
    plan = plan_memory(LLAMA, Recipe(), Load())
    terms = plan.record()["terms"]
    assert isinstance(terms, list)
    assert sum(term["gib"] for term in terms) == pytest.approx(plan.total_gib)


def test_choice_keeps_the_effective_batch() -> None:
    choice = choose(LLAMA, 24, Recipe())
    assert choice.fits
    assert choice.load.batch * choice.load.accumulation == 16


def test_choice_takes_the_largest_batch_that_fits() -> None:
    choice = choose(LLAMA, 24, Recipe(), lengths=(4096,))
    assert choice.plan.total_gib <= 24
    doubled = replace(choice.load, batch=2 * choice.load.batch)
    assert plan_memory(LLAMA, Recipe(), doubled).total_gib > 24


def test_choice_shortens_before_it_gives_up() -> None:
    choice = choose(LLAMA, 7, Recipe())
    assert (choice.fits, choice.load.batch, choice.load.max_tokens) == (True, 1, 1024)


def test_longest_fits_and_the_next_does_not() -> None:
    longest = longest_tokens(LLAMA, 24, Recipe())
    assert plan_memory(LLAMA, Recipe(), Load(1, longest)).total_gib <= 24
    assert plan_memory(LLAMA, Recipe(), Load(1, longest + 64)).total_gib > 24


def test_longest_stays_within_the_context() -> None:
    small = find_shape("Qwen/Qwen3-0.6B")
    assert longest_tokens(small, 80, Recipe()) == small.context


def test_nothing_fits_names_changes_that_do() -> None:
    choice = choose(LLAMA, 12, Recipe(method=Method.LORA), lengths=(2048,))
    changes = {remedy.change: remedy.total_gib for remedy in choice.remedies}

    assert not choice.fits
    assert changes["qlora instead of lora"] < 12
    assert any(change.startswith("the smaller model") for change in changes)
    assert all(size <= 12 for change, size in changes.items() if not change.startswith("a GPU"))


def test_too_long_names_the_length_that_fits() -> None:
    choice = choose(LLAMA, 24, Recipe(), batches=(2,), lengths=(32_768,))
    longest = longest_tokens(LLAMA, 24, Recipe(), batch=2)

    assert not choice.fits
    assert f"at most {longest:,} tokens" in [remedy.change for remedy in choice.remedies]


def test_several_changes_at_once_are_offered_when_one_is_not_enough() -> None:
    heavy = Recipe(
        method=Method.LORA, adapted=ADAPTED[Targets.ALL_LINEAR], activation_checkpointing=False
    )
    choice = choose(LLAMA, 12, heavy, batches=(2,), lengths=(2048,))
    assert "all of these at once" in [remedy.change for remedy in choice.remedies]
