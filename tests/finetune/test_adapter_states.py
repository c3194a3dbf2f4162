"""States go forward only, are kept in one file, and at most one version of a name is live."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finetune.adapter_states import REGISTRY_FILE
from finetune.adapters import AdapterRegistry
from finetune.errors import AdapterError, AdapterStateError
from finetune.manifest import State
from tests.finetune.saved_adapters import add, contents


def test_promoted_version_retires_the_one_before_and_no_other_name(
    registry: AdapterRegistry, trained: Path
) -> None:
    for name in ("skylark", "skylark", "meridian"):
        add(registry, trained, name)
    registry.set_state("meridian", 1, State.LIVE)
    registry.set_state("skylark", 1, State.LIVE)
    registry.set_state("skylark", 2, State.LIVE)

    assert {version.label: version.state for version in registry.versions()} == {
        "meridian@1": State.LIVE,
        "skylark@1": State.RETIRED,
        "skylark@2": State.LIVE,
    }


def test_state_outlives_the_object_and_leaves_the_directory_as_it_was(
    registry: AdapterRegistry, trained: Path
) -> None:
    added = add(registry, trained)
    before = contents(added.directory)
    registry.set_state("skylark", 1, State.LIVE)

    assert AdapterRegistry(registry.folder).get("skylark", 1).state is State.LIVE
    assert contents(added.directory) == before


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        ([State.CANDIDATE], "is candidate and cannot become candidate; next is live"),
        ([State.RETIRED], "is candidate and cannot become retired; next is live"),
        ([State.LIVE, State.LIVE], "is live and cannot become live; next is retired"),
        ([State.LIVE, State.CANDIDATE], "is live and cannot become candidate; next is retired"),
        (
            [State.LIVE, State.RETIRED, State.LIVE],
            "is retired and cannot become live; next is nothing: it does not come back",
        ),
    ],
)
def test_state_goes_only_forward(
    registry: AdapterRegistry, trained: Path, steps: list[State], problem: str
) -> None:
    add(registry, trained)
    *allowed, refused = steps
    for step in allowed:
        registry.set_state("skylark", 1, step)

    with pytest.raises(AdapterStateError, match=f"skylark@1 {problem}"):
        registry.set_state("skylark", 1, refused)
    assert registry.get("skylark", 1).state is ([State.CANDIDATE, *allowed][-1])


def test_damaged_registry_file_says_what_to_do(registry: AdapterRegistry, trained: Path) -> None:
    add(registry, trained)
    (registry.folder / REGISTRY_FILE).write_text('{"adapters": 3}')

    with pytest.raises(AdapterError, match=r"registry.json.*restore it, or delete it"):
        registry.versions()


def test_without_the_registry_file_every_version_is_a_candidate(
    registry: AdapterRegistry, trained: Path
) -> None:
    add(registry, trained)
    registry.set_state("skylark", 1, State.LIVE)
    (registry.folder / REGISTRY_FILE).unlink()

    assert registry.get("skylark").state is State.CANDIDATE
    assert add(registry, trained).version == 2


def test_removed_version_leaves_no_state_behind(registry: AdapterRegistry, trained: Path) -> None:
    add(registry, trained)
    registry.remove("skylark", 1)

    written = json.loads((registry.folder / REGISTRY_FILE).read_text())
    assert written["adapters"]["skylark"] == {"issued": 1, "states": {}}
