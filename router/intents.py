"""The closed sets of the router, and the table that joins them (`intents.toml`)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType

TABLE_FILE = Path(__file__).with_name("intents.toml")


class Route(StrEnum):
    """How a question is answered."""

    RAG = "rag"
    FINE_TUNED = "fine_tuned"
    HYBRID = "hybrid"


class Intent(StrEnum):
    """What a question wants; the classes of the head, in the order of its rows."""

    FACTUAL = "factual"
    CREATIVE = "creative"
    ANALYSIS = "analysis"
    SMALL_TALK = "small_talk"


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Where a file of labelled questions keeps what, and which of its categories are used."""

    text: str
    category: str
    licence: str
    intents: Mapping[str, Intent]


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Intent -> route, kind of starter question -> intent, data category -> intent."""

    routes: Mapping[Intent, Route]
    questions: Mapping[str, Intent]
    data: Mapping[str, TrainingSet]

    def route_of_kind(self, kind: str) -> Route:
        """The right route for a kind of starter question."""
        return self.routes[self.questions[kind]]


@cache
def route_table() -> RouteTable:
    """The table in `intents.toml`, checked: every intent has a route."""
    raw = tomllib.loads(TABLE_FILE.read_text())
    data = {
        name: TrainingSet(
            text=entry["text"],
            category=entry["category"],
            licence=entry["licence"],
            intents=MappingProxyType({k: Intent(v) for k, v in entry["intents"].items()}),
        )
        for name, entry in raw["data"].items()
    }
    return RouteTable(
        routes=MappingProxyType({intent: Route(raw["routes"][intent]) for intent in Intent}),
        questions=MappingProxyType({k: Intent(v) for k, v in raw["questions"].items()}),
        data=MappingProxyType(data),
    )
