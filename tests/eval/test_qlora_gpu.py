import json
from pathlib import Path
from typing import Any

import pytest

from eval import qlora_gpu
from eval.errors import EvaluationError
from eval.longest import longest_that
from eval.random_model import Build, random_model
from finetune.model_shapes import find_shape

pytestmark = pytest.mark.filterwarnings(
    "ignore:`gradient_checkpointing` is deprecated:FutureWarning",  # TRL's default in transformers
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning",
    "ignore::DeprecationWarning",
)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # what the script sets is undone afterwards


def run(out: Path, part: str) -> dict[str, Any]:
    words = ["--shape", "tiny", "--device", "cpu", "--tokens", "32", "--steps", "3"]
    assert qlora_gpu.main([*words, "--out", str(out), "--part", part]) == 0
    record: dict[str, Any] = json.loads((out / f"{part}.json").read_text(encoding="utf-8"))
    return record


@pytest.mark.parametrize("part", ["ours", "plain"])
def test_part_trains_on_a_cpu_without_memory_figures(tmp_path: Path, part: str) -> None:
    record = run(tmp_path, part)

    assert record["tokens_per_s"]["min"] <= record["tokens_per_s"]["median"]
    assert record["loss"] == pytest.approx(5.545, abs=0.3)  # ln 256: random tokens teach nothing
    assert record["peak_allocated_gib"] is None
    assert record["predicted"]["total_gib"] > 0


def test_parts_that_are_there_are_not_measured_again(tmp_path: Path) -> None:
    for part in qlora_gpu.PARTS:
        (tmp_path / f"{part}.json").write_text("{}", encoding="utf-8")
    # A shape that does not exist: no part may look at it.
    assert qlora_gpu.main(["--shape", "none", "--out", str(tmp_path)]) == 0


def test_longest_goes_on_from_what_was_tried(tmp_path: Path) -> None:
    # All that the bisection would ask for is known: 512 tokens, the tiny context, train.
    (tmp_path / "longest.tried.json").write_text('{"512": true}', encoding="utf-8")
    assert run(tmp_path, "longest")["longest_tokens"] == 512


@pytest.mark.parametrize("limit", [63, 64, 700, 5_000, 131_072])
@pytest.mark.parametrize("predicted", [0, 640, 9_000, 200_000])
def test_longest_is_found_wherever_it_starts(limit: int, predicted: int) -> None:
    found = longest_that(lambda tokens: tokens <= limit, predicted=predicted, context=131_072)
    assert found <= limit
    assert limit - found < max(64, found // 32 + 64)


def test_random_model_has_the_shape_in_nf4() -> None:
    from bitsandbytes.nn.modules import Linear4bit

    model = random_model(qlora_gpu.TINY, Build(device="cpu", dtype="float32"))

    quantised = [module for module in model.modules() if isinstance(module, Linear4bit)]
    assert len(quantised) == 7 * qlora_gpu.TINY.layers
    # A pair of weights in a byte.
    packed = sum(module.weight.numel() for module in quantised)
    assert packed == qlora_gpu.TINY.linear_parameters // 2
    others = sum(weight.numel() for weight in model.parameters()) - packed
    assert others == qlora_gpu.TINY.parameters - qlora_gpu.TINY.linear_parameters


def test_random_model_with_biases_is_refused() -> None:
    with pytest.raises(EvaluationError, match=r"biases in q, k, v"):
        random_model(find_shape("Qwen2.5-7B-Instruct"), Build(device="cpu"))


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "H100 SXM"),
        ("NVIDIA A100-SXM4-80GB", "A100 80GB"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA L4", "L4"),
    ],
)
def test_gpu_is_known_by_its_device_name(device: str, name: str) -> None:
    gpu = qlora_gpu.find_gpu_of(device)
    assert gpu is not None
    assert gpu.name == name


def test_gpu_outside_the_table_has_no_prediction() -> None:
    assert qlora_gpu.find_gpu_of("NVIDIA GeForce GTX 1080") is None
