"""`registry.json`: how far each version of each adapter has come."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from finetune.durable_files import replace
from finetune.errors import AdapterError, AdapterStateError
from finetune.manifest import AdapterVersion, State, problems

REGISTRY_FILE = "registry.json"
NEXT_STATE = {State.CANDIDATE: State.LIVE, State.LIVE: State.RETIRED}


class NameStates(BaseModel):
    """What is on record of one adapter's versions."""

    model_config = ConfigDict(extra="forbid")

    issued: int = Field(default=0, ge=0)  # a number is never given twice, even after `remove`
    states: dict[int, State] = {}


class AdapterStates(BaseModel):
    """The file's content; a version that it does not name is a candidate."""

    model_config = ConfigDict(extra="forbid")

    format_version: Literal[1] = 1
    adapters: dict[str, NameStates] = {}

    @classmethod
    def read(cls, folder: Path) -> AdapterStates:
        """Those of a registry's folder; none when there is no file. Raises AdapterError."""
        path = folder / REGISTRY_FILE
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return cls()
        except (OSError, ValidationError) as error:
            reason = problems(error) if isinstance(error, ValidationError) else error
            raise AdapterError(
                f"cannot read {path}: {reason}; restore it, or delete it: then every version is a "
                "candidate until it is promoted"
            ) from error

    def save(self, folder: Path) -> None:
        """Replace the folder's file."""
        replace(folder / REGISTRY_FILE, self.model_dump_json(indent=2) + "\n")

    def of_name(self, name: str) -> NameStates:
        """What is on record of an adapter, to be changed; made when there is nothing yet."""
        return self.adapters.setdefault(name, NameStates())

    def state(self, name: str, number: int) -> State:
        """That of one version."""
        known = self.adapters.get(name)
        return known.states.get(number, State.CANDIDATE) if known else State.CANDIDATE

    def advance(self, version: AdapterVersion, state: State) -> None:
        """Take a version one step on; one that becomes live retires the one that was.

        Raises:
            AdapterStateError: that is not the version's next state.
        """
        if NEXT_STATE.get(version.state) is not state:
            raise AdapterStateError(_cannot(version, state))
        states = self.of_name(version.name).states
        if state is State.LIVE:
            for number, other in states.items():
                if other is State.LIVE:
                    states[number] = State.RETIRED
        states[version.version] = state


def _cannot(found: AdapterVersion, state: State) -> str:
    following = NEXT_STATE.get(found.state)
    remedy = {
        State.CANDIDATE: "promote it, or remove it",
        State.LIVE: "retire it, or promote another version",
        State.RETIRED: "it does not come back; add its files again as a new version",
    }[found.state]
    return (
        f"{found.label} is {found.state} and cannot become {state}; next is "
        f"{following or 'nothing'}: {remedy}"
    )
