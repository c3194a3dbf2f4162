"""Files and folders -> the passages that the product would cut them into, each text once."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from eval.beir import QUERIES, Dataset, read_documents
from eval.corpus_index import source_files
from eval.errors import EvaluationError
from retrieval.chunking import Chunker
from retrieval.documents import DEFAULT_TENANT, EVERYONE, Document, Passage, content_sha256
from retrieval.errors import LoadingError
from retrieval.ingest import DEFAULT_COLLECTION, SourceFile
from retrieval.loading import PLAIN, load

BUNDLES = (".jsonl", ".jsonl.gz")
BEIR_CORPUS = ("corpus.jsonl", "corpus.jsonl.gz")
_DATE = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Group:
    """A document that was cut: the file that it came from, and its passages."""

    file: SourceFile
    passages: tuple[Passage, ...]


def read_sources(paths: Sequence[Path], *, seed: int) -> list[SourceFile]:
    """Every document below the paths, in an order that the seed decides.

    Files are `.md`, `.markdown` and `.txt`; JSON lines with `path` and `text`; and BEIR's
    corpora. BEIR's queries are passed over.

    Raises:
        EvaluationError: a path does not exist, a file is broken, or there is no document at all.
    """
    found: dict[str, SourceFile] = {}
    for path in paths:
        if not path.exists():
            raise EvaluationError(f"{path}: no such file or folder")
        files = [path] if path.is_file() else sorted(path.rglob("*"))
        for file in files:
            found.update((each.document_id, each) for each in _read(file))
    if not found:
        raise EvaluationError(f"{', '.join(map(str, paths))}: no text; see --help for what is read")
    ordered = [found[name] for name in sorted(found)]
    random.Random(seed).shuffle(ordered)
    return ordered


def cut(files: Iterable[SourceFile], chunker: Chunker, *, limit: int) -> list[Group]:
    """At most `limit` passages; a text that came before is left out, and so are empty documents."""
    seen: set[str] = set()
    groups = []
    left = limit
    for file in files:
        passages: list[Passage] = []
        for passage in _passages(file, chunker):
            if passage.searchable not in seen and len(passages) < left:
                seen.add(passage.searchable)
                passages.append(passage)
        left -= len(passages)
        if passages:
            groups.append(Group(file, tuple(passages)))
        if not left:
            break
    return groups


def _passages(file: SourceFile, chunker: Chunker) -> list[Passage]:
    try:
        loaded = load(file.source, file.content)
    except LoadingError:  # no text in it
        return []
    return chunker.chunk(
        Document(
            id=file.document_id,
            title=loaded.title,
            text=loaded.text,
            source=file.source,
            collection=DEFAULT_COLLECTION,
            tenant=DEFAULT_TENANT,
            groups=(EVERYONE,),
            sha256=content_sha256(file.content),
            generation=1,
            updated_at=_DATE,
        )
    )


def _read(path: Path) -> Iterator[SourceFile]:
    name = path.name
    if name in QUERIES:
        return
    if name in BEIR_CORPUS:
        where = path.resolve().parent.name
        corpus = Dataset(where, read_documents(path), {}, {}, 0)
        for file in source_files(corpus):
            yield SourceFile(f"{where}/{file.source}", file.content)
    elif name.endswith(BUNDLES):
        yield from _bundle(path)
    elif path.suffix.lower() in PLAIN:
        yield SourceFile(path.as_posix(), path.read_bytes())


def _bundle(path: Path) -> Iterator[SourceFile]:
    from serving.cli.connection import CommandError
    from serving.cli.local_files import Root

    try:
        for line in Root(path).files():
            yield SourceFile(f"{path.name}/{line.source}", line.read())
    except CommandError as error:
        raise EvaluationError(str(error)) from error
