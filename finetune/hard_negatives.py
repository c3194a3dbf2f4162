"""Mine training groups for the cross-encoder: questions with what our own retriever finds for them.

    python -m finetune.hard_negatives --data DIR --out FILE

Two sources. The written help centres (`starter/retrieval/passages.jsonl`): a question is asked of
its own organisation; its passage is the positive one and the neighbours are negatives; a question
without an answer has negatives alone. The retrieval sets that may train shipped weights
(`retrieval_data.SETS`, BEIR layout below DIR): cut into passages as for the index; positive is the
best found piece of the gold document that holds the answer, negatives are found pieces without it.
Questions to a tenth of the documents are marked as held out.
"""

from __future__ import annotations

import argparse
import logging
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

from finetune.retrieval_data import (
    HELD_OUT,
    HELD_OUT_SUFFIX,
    SETS,
    WRITTEN,
    Group,
    JudgedQuestion,
    help_centres,
    judged,
    write_groups,
)
from retrieval.documents import Scope, ScoredPassage
from retrieval.embedding import Embedder
from retrieval.ingest import SourceFile
from retrieval.temporary import temporary_retriever
from starter.bundle import WrittenPassage

PASSAGE_TOKENS = 96
FOUND = 20  # passages looked at for each question
NEGATIVES = 8  # at most, the best ranked first

logger = logging.getLogger(__name__)


def main() -> None:
    """Mine all sources into one file."""
    from serving.settings import load_settings
    from serving.wiring import build_embedder

    parser = argparse.ArgumentParser(prog="python -m finetune.hard_negatives", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    embedder = build_embedder(load_settings())
    groups: list[Group] = []
    for trained_on, name in ((True, WRITTEN), (False, HELD_OUT)):
        groups += from_help_centres(help_centres(trained_on=trained_on), embedder, name)
    for name in SETS:
        started = time.perf_counter()
        found = list(from_retrieval_set(options.data / name, embedder))
        groups += found
        logger.info("%s: %d groups, %.0f s", name, len(found), time.perf_counter() - started)
    write_groups(options.out, groups)
    logger.info("%d groups in %s", len(groups), options.out)


def from_help_centres(
    centres: list[list[WrittenPassage]], embedder: Embedder, name: str
) -> Iterator[Group]:
    """Each question asked of its own organisation."""
    rows = [row for centre in centres for row in centre]
    files = [
        SourceFile(
            f"{number}.md",
            f"# {row.title}\n\n## {row.heading}\n\n{row.passage}\n".encode(),
            collection=row.organisation,
        )
        for number, row in enumerate(rows)
    ]
    with temporary_retriever(files, embedder, passage_tokens=512) as retriever:
        for number, row in enumerate(rows):
            scope = Scope(collections=(row.organisation,))
            for question in (*row.questions, *row.unanswered):
                hits = retriever.search(question, FOUND, scope).passages
                own = [hit.passage.searchable for hit in hits if hit.source == f"{number}.md"]
                others = [hit.passage.searchable for hit in hits if hit.source != f"{number}.md"]
                if question in row.questions:
                    if own:
                        yield Group(name, question, own[0], tuple(others[:NEGATIVES]))
                else:  # the passage that nearly answers it is the hardest
                    yield Group(name, question, None, (*own, *others[:NEGATIVES]))


def from_retrieval_set(folder: Path, embedder: Embedder) -> Iterator[Group]:
    """All of the set's questions that the retriever finds the answer to."""
    documents, questions = judged(folder)
    files = [
        SourceFile(f"{name}.md", f"# {title}\n\n{text}\n".encode())
        for name, (title, text) in documents.items()
    ]
    with temporary_retriever(files, embedder, passage_tokens=PASSAGE_TOKENS) as retriever:
        for question in questions:
            hits = retriever.search(question.text, FOUND, Scope()).passages
            name = folder.name + (HELD_OUT_SUFFIX if held_out(question.document) else "")
            group = _group(name, question, hits)
            if group is not None:
                yield group


def held_out(document: str) -> bool:
    """A tenth of a set's documents, always the same."""
    return zlib.crc32(document.encode()) % 10 == 0


def _group(name: str, question: JudgedQuestion, hits: tuple[ScoredPassage, ...]) -> Group | None:
    positive, negatives = None, []
    for hit in hits:
        text = hit.passage.searchable
        holds = any(answer.lower() in text.lower() for answer in question.answers)
        if not holds:
            negatives.append(text)
        elif hit.source == f"{question.document}.md" and positive is None:
            positive = text
    if positive is None or not negatives:
        return None
    return Group(name, question.text, positive, tuple(negatives[:NEGATIVES]))


if __name__ == "__main__":
    main()
