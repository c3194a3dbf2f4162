"""The index of a set's documents: filled by the product's own ingest, kept for the next run."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from eval.beir import Dataset
from retrieval import chunking, documents, edge_store, loading
from retrieval.embedding import Embedder
from retrieval.folder_index import FolderIndex, open_folder_index
from retrieval.ingest import SourceFile
from retrieval.reranking import Reranking

COMPLETE = "complete"  # a file that says that every document is in the index beside it
_SUFFIX = "/_.md"  # a text without a title gets its file's name; of this one nothing is left

Item = TypeVar("Item")


class Track(Protocol):
    """Passes items on and shows people how far it is: `rich.progress.Progress.track`."""

    def __call__(self, sequence: Iterable[Item], *, description: str) -> Iterable[Item]:
        """The same items."""
        ...


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What is measured: the product's models and settings, and the sets that trained the models."""

    embedder: Embedder
    reranking: Reranking | None
    passage_tokens: int
    language: str
    trained_on: tuple[str, ...] = ()

    def index_name(self, dataset: Dataset) -> str:
        """Differs for whatever is indexed differently: documents, embedder, settings, or code."""
        code = [inspect.getsource(module) for module in (chunking, documents, edge_store, loading)]
        settings = [self.embedder.name, self.passage_tokens, self.language]
        key = json.dumps([dataset.corpus_sha256(), settings, code])
        return f"{dataset.name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


@contextmanager
def open_corpus_index(
    dataset: Dataset, pipeline: Pipeline, *, work: Path | None, track: Track
) -> Iterator[FolderIndex]:
    """The index of all the set's documents, from `work` when it lies there whole.

    Without a `work` folder it is removed at the end. What an interrupted run has embedded is not
    embedded again.

    Raises:
        StoreError: another process uses the same index.
    """
    with (
        _folder(work, pipeline.index_name(dataset)) as folder,
        open_folder_index(
            folder,
            pipeline.embedder,
            passage_tokens=pipeline.passage_tokens,
            language=pipeline.language,
            reranking=pipeline.reranking,
        ) as index,
    ):
        if not (folder / COMPLETE).exists():
            index.ingestor.recover()
            for file in track(source_files(dataset), description=f"Indexing {dataset.name}"):
                index.ingestor.put(file)
            (folder / COMPLETE).touch()
        yield index


def source_files(dataset: Dataset) -> list[SourceFile]:
    """The documents as Markdown, the title as their heading; those without a word are left out.

    A document that is a title alone has it for its text, since headings alone are not indexed.
    """
    files = []
    for name, (title, text) in dataset.documents.items():
        heading = " ".join(title.split())
        content = f"# {heading}\n\n{text}\n" if heading and text.strip() else heading or text
        if re.search(r"\w", content):
            files.append(SourceFile(f"{name}{_SUFFIX}", content.encode(errors="replace")))
    return files


def document_name(source: str) -> str:
    """The document's id in the set.

    >>> document_name("MED-10/_.md")
    'MED-10'
    """
    return source.removesuffix(_SUFFIX)


@contextmanager
def _folder(work: Path | None, name: str) -> Iterator[Path]:
    if work is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
    else:
        kept = work / name
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
