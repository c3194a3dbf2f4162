"""Ask a server every question of a set and keep what matters of each reply."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from eval.errors import EvaluationError
from starter.bundle import Question


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with what came back. `cited` holds sources, in the order of their markers."""

    question: Question
    route: str
    outcome: str
    text: str
    cited: tuple[str, ...]
    total_ms: float

    @property
    def refused(self) -> bool:
        """Whether the reply says that the documents don't say."""
        return self.outcome == "not_in_documents"

    @property
    def cites_gold(self) -> bool:
        """Whether a gold document is among those cited."""
        return any(source in self.cited for source in self.question.documents)

    @property
    def cites_all_gold(self) -> bool:
        """Whether every gold document is among those cited."""
        return all(source in self.cited for source in self.question.documents)

    @property
    def holds_facts(self) -> bool:
        """Whether every fact stands in the answer, white space and case aside."""
        text = " ".join(self.text.split()).lower()
        facts = [re.escape(" ".join(fact.split()).lower()) for fact in self.question.facts]
        return all(re.search(rf"(?<![\w.,]){fact}(?![\w]|[.,]\d)", text) for fact in facts)

    def record(self) -> dict[str, Any]:
        """For a result file."""
        return {
            **asdict(self),
            "refused": self.refused,
            "cites_gold": self.cites_gold,
            "holds_facts": self.holds_facts,
        }


def ask_all(
    client: httpx.Client, questions: Iterable[Question], *, collections: Sequence[str] = ()
) -> Iterator[Asked]:
    """Ask through the public interface, with the router deciding.

    Raises:
        EvaluationError: the server answers with an error.
    """
    for question in questions:
        body = {
            "model": "twofold",
            "messages": [{"role": "user", "content": question.question}],
            "twofold": {"collections": list(collections)},
        }
        response = client.post("/v1/chat/completions", json=body)
        if response.is_error:
            raise EvaluationError(f"question {question.id}: {response.text}")
        reply = response.json()
        details = reply["twofold"]
        yield Asked(
            question=question,
            route=details["route"],
            outcome=details["outcome"],
            text=reply["choices"][0]["message"]["content"],
            cited=tuple(dict.fromkeys(item["source"] for item in details["citations"])),
            total_ms=details["timings_ms"]["total"],
        )


def check_sources(client: httpx.Client, questions: Sequence[Question]) -> None:
    """Refuse to measure over documents that are not there.

    Raises:
        EvaluationError: gold documents are missing; names some.
    """
    known = {item["source"] for item in client.get("/v1/documents").json()["data"]}
    missing = sorted({d for question in questions for d in question.documents} - known)
    if missing:
        raise EvaluationError(
            f"{len(missing)} documents that the questions are about are not in the index, for "
            f"example {missing[0]!r}; ingest them first (`twofold ingest PATH`)"
        )
