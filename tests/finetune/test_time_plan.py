import pytest

from finetune.configuration import Method
from finetune.errors import ConfigurationError
from finetune.memory_plan import Load, Recipe
from finetune.model_shapes import find_shape
from finetune.time_plan import (
    DEFAULT_GPU,
    Gpu,
    Work,
    bytes_per_token,
    find_gpu,
    flops_per_token,
    known_gpus,
    plan_time,
)

LLAMA = find_shape("Llama-3.1-8B")
QWEN = find_shape("Qwen3-8B")
WORK = Work(examples=600, mean_tokens=2048, epochs=2)


def test_flops_are_those_by_hand() -> None:
    # Three passes of 2 FLOPs over 6,979,321,856 layer weights and 525,336,576 of the head; four
    # over the 13,631,488 of LoRA; attention 2 * 4096 * 2048 * 32 layers * (1 + 1 + 2.5).
    expected = 6 * 6_979_321_856 + 6 * 525_336_576 + 8 * 13_631_488 + 2_415_919_104
    assert flops_per_token(LLAMA, Recipe(), 2048) == expected


def test_full_training_adds_the_weights_gradients() -> None:
    full = flops_per_token(LLAMA, Recipe(method=Method.FULL, activation_checkpointing=False), 0)
    # The usual rule: 6 FLOPs a weight and token; the head is projected to once more.
    assert full == 6 * 6_979_321_856 + 8 * 525_336_576


@pytest.mark.parametrize(
    ("recipe", "model", "counted"),
    [
        # Bytes of a token and layer, counted from every operation of a simulated step.
        (Recipe(), "Llama-3.1-8B", 2_890_350),
        (Recipe(method=Method.PROMPT_TUNING), "Llama-3.1-8B", 2_218_138),
        (Recipe(), "Qwen3-8B", 3_647_374),
        (Recipe(activation_checkpointing=False), "Llama-3.1-8B", 2_185_377),
    ],
)
def test_bytes_are_those_of_a_simulated_step(recipe: Recipe, model: str, counted: int) -> None:
    shape = find_shape(model)
    moved = bytes_per_token(shape, recipe, 10**12) / shape.layers  # dequantisation left out
    assert moved == pytest.approx(counted, rel=0.03)


def test_dequantisation_is_shared_by_the_tokens_of_a_pass() -> None:
    one, two = (bytes_per_token(LLAMA, Recipe(), tokens) for tokens in (512, 1024))
    # Three passes of 2.5 bytes over each of 6,979,321,856 weights.
    assert one - two == pytest.approx(3 * 2.5 * 6_979_321_856 / 1024)


def test_rtx_4090_is_within_a_third_of_the_published_rate() -> None:
    # torchtune: 2,413 tokens/s with batch 2 x 2,048.
    plan = plan_time(LLAMA, Recipe(), Load(), WORK, find_gpu(DEFAULT_GPU))
    assert plan.tokens_per_s == pytest.approx(2413, rel=1 / 3)


def test_steps_and_seconds_are_those_by_hand() -> None:
    plan = plan_time(LLAMA, Recipe(), Load(2, 2048, 8), WORK, find_gpu(DEFAULT_GPU))

    assert plan.steps == 75  # 600 * 2 / 16
    assert plan.tokens == 600 * 2048 * 2
    assert plan.seconds == pytest.approx(plan.tokens / plan.tokens_per_s)


def test_examples_longer_than_the_limit_count_with_the_limit() -> None:
    plan = plan_time(LLAMA, Recipe(), Load(2, 1024), WORK, find_gpu(DEFAULT_GPU))
    assert plan.tokens == 600 * 1024 * 2


def test_twice_the_gpu_takes_half_the_time() -> None:
    slow, fast = Gpu("slow", 100, 1000, 24), Gpu("fast", 200, 2000, 24)
    plans = [plan_time(QWEN, Recipe(), Load(), WORK, gpu) for gpu in (slow, fast)]
    assert plans[0].seconds == pytest.approx(2 * plans[1].seconds)


def test_record_states_what_is_assumed() -> None:
    plan = plan_time(LLAMA, Recipe(), Load(), WORK, find_gpu(DEFAULT_GPU))
    assert plan.record()["assumed"] == {"matmul_efficiency": 0.75, "bandwidth_efficiency": 0.8}


@pytest.mark.parametrize(("word", "name"), [("h100", "H100 SXM"), ("L4", "L4"), ("l40s", "L40S")])
def test_gpu_is_found_by_a_part_of_its_name(word: str, name: str) -> None:
    assert find_gpu(word).name == name


@pytest.mark.parametrize("word", ["TPU v5", "RTX"])
def test_unknown_or_ambiguous_gpu_lists_the_table(word: str) -> None:
    with pytest.raises(ConfigurationError, match="RTX 4090"):
        find_gpu(word)


def test_table_states_rates_above_zero() -> None:
    for gpu in known_gpus().values():
        assert min(gpu.bf16_tflops, gpu.bandwidth_gb_s, gpu.vram_gib) > 0
