"""A registry and what may be added to it, or damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from finetune.adapters import AdapterRegistry
from tests.finetune.saved_adapters import save_lora


@pytest.fixture
def registry(tmp_path: Path) -> AdapterRegistry:
    """Empty; its folder does not exist yet."""
    return AdapterRegistry(tmp_path / "home" / "adapters")


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """An adapter of one layer, written by hand."""
    return save_lora(tmp_path / "trained")


@pytest.fixture
def adapter(tiny_models: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model's adapter, to damage."""
    return Path(shutil.copytree(tiny_models / "lora", tmp_path / "lora"))


@pytest.fixture
def copied_base(tiny_models: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model, to change."""
    return Path(shutil.copytree(tiny_models / "base", tmp_path / "copied"))
