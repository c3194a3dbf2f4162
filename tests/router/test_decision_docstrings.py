"""The examples in the decision engine's docstrings, run."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["amounts", "data_preparation", "quick", "report", "values"])
def test_examples_in_docstrings_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"router.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
