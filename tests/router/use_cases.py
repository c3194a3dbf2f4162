"""Use cases for tests: the published one, and changes of it."""

from __future__ import annotations

from collections.abc import Mapping

from router.use_case import UseCase, read_use_case

PUBLISHED = {
    "knowledge_changes": "weekly",
    "needs_citations": "true",
    "style_requirements": "high",
    "training_data": "200 examples",
    "latency_requirement": "2s",
    "monthly_queries": "100000",
}


def changed(answers: Mapping[str, str]) -> UseCase:
    """The published use case with other answers."""
    return read_use_case({**PUBLISHED, **answers})


def use_case(*, kept_out: bool = False, closed: bool = False, **answers: str) -> UseCase:
    """The same, and what compliance adds."""
    return read_use_case(
        PUBLISHED | answers, data_must_not_enter_weights=kept_out, no_external_data_access=closed
    )
