"""What training starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from finetune.base_model import load_base, trained_part
from finetune.configuration import Method, Targets, TrainingConfiguration
from tests.finetune.tiny_model import save_tiny_model

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
bitsandbytes = pytest.importorskip("bitsandbytes")


def adapted(folder: Path) -> Any:
    configuration = TrainingConfiguration(
        name="tiny",
        base_model=str(folder),
        train=folder,
        data_licence="CC0-1.0",
        method=Method.QLORA,
        targets=Targets.ALL_LINEAR,
        dropout=0,
    )
    return trained_part(configuration, load_base(configuration))


def gradients(model: Any, ids: Any) -> dict[str, Any]:
    model.zero_grad()
    model.train()(input_ids=ids, labels=ids).loss.backward()
    return {
        name: each.grad.clone() for name, each in model.named_parameters() if each.requires_grad
    }


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_evaluation_leaves_the_gradients_of_4_bit_training_as_they_were(tmp_path: Path) -> None:
    model = adapted(save_tiny_model(tmp_path / "tiny"))
    ids = torch.arange(5, 45)[None]  # (1, 40)

    before = gradients(model, ids)
    with torch.no_grad():
        model.eval()(input_ids=ids)
    after = gradients(model, ids)

    assert any(gradient.any() for gradient in before.values())
    assert all(torch.equal(before[name], after[name]) for name in before)
