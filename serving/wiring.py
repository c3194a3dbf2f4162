"""Builds every object from the settings, once. The only place that knows the concrete classes."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.catalogue import Catalogue
from retrieval.chunking import Chunker
from retrieval.edge_graph import GraphMaintenance
from retrieval.edge_store import EdgeStore
from retrieval.embedding import Embedder
from retrieval.errors import StoreError
from retrieval.ingest import Ingestor, SourceFile
from retrieval.onnx_embedder import OnnxEmbedder
from retrieval.onnx_reranker import OnnxReranker
from retrieval.points import IndexManifest
from retrieval.reranking import CrossEncoderReranker, Reranker, Reranking
from retrieval.retriever import HybridRetriever
from retrieval.sentence_transformer_embedder import SentenceTransformerEmbedder
from retrieval.store import Store
from router.head import HeadError, IntentHead
from serving.answerability import Answerability, AnswerabilityError
from serving.assistant import Assistant
from serving.errors import SettingsError
from serving.evidence import EvidenceFinder
from serving.ladder import build_writer
from serving.prompts import PromptBuilder
from serving.settings import BUNDLED, Settings, StoreKind
from serving.transformers_generator import TransformersGenerator
from serving.voices import Voices
from starter import bundle

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

logger = logging.getLogger(__name__)


class HomeInUseError(Exception):
    """Another process holds this data folder."""


@dataclass(frozen=True, slots=True)
class Twofold:
    """The open system: what HTTP handlers and commands work with."""

    settings: Settings
    catalogue: Catalogue
    store: Store
    embedder: Embedder
    reranker: Reranker | None
    ingestor: Ingestor
    retriever: HybridRetriever
    assistant: Assistant


@contextmanager
def open_twofold(settings: Settings) -> Iterator[Twofold]:
    """Open the data folder, finish what a crash left over, and close it in the end.

    Raises:
        HomeInUseError: another process holds the index.
        RetrievalError, SettingsError: a part cannot be built; says what to do.
    """
    with _hold(settings.home), ExitStack() as opened:
        catalogue = opened.enter_context(
            closing(Catalogue(f"sqlite:///{settings.home / 'documents.db'}"))
        )
        embedder = build_embedder(settings)
        store = opened.enter_context(closing(_open_store(settings, embedder)))
        twofold = _assemble(settings, catalogue, store, embedder)
        opened.callback(twofold.ingestor.stop)
        if isinstance(generator := twofold.assistant.writer.generator, TransformersGenerator):
            opened.enter_context(closing(generator))
        twofold.ingestor.recover()
        if settings.starter_documents:
            _add_starter_documents(twofold)
        if isinstance(store, EdgeStore):
            opened.enter_context(closing(GraphMaintenance(store)))
        yield twofold


def build_embedder(settings: Settings) -> Embedder:
    """The bundled embedder with its adapter, or a sentence-transformers model by name."""
    if settings.embedder == BUNDLED:
        return OnnxEmbedder.bundled(settings.models_folder, adapter_dir=bundle.EMBEDDER_ADAPTER)
    return SentenceTransformerEmbedder(settings.embedder)


def build_unit_embedder(settings: Settings) -> Embedder | None:
    """The bundled model that knows which sentence answers, or none."""
    if settings.unit_embedder == "none":
        return None
    return OnnxEmbedder.bundled(settings.models_folder, adapter_dir=bundle.UNIT_EMBEDDER_ADAPTER)


def build_reranking(settings: Settings) -> Reranking | None:
    """With the bundled cross-encoder, one by name, or none."""
    if settings.reranker is None:
        return None
    return Reranking(
        _build_reranker(settings, settings.reranker),
        candidates=settings.rerank_candidates,
        weight=settings.rerank_weight,
        budget_ms=settings.rerank_budget_ms,
    )


def _build_reranker(settings: Settings, name: str) -> Reranker:
    if name == BUNDLED:
        return OnnxReranker.bundled(settings.models_folder, adapter_dir=bundle.RERANKER_ADAPTER)
    return CrossEncoderReranker(name)


def _assemble(
    settings: Settings, catalogue: Catalogue, store: Store, embedder: Embedder
) -> Twofold:
    reranking = build_reranking(settings)
    reranker = reranking.reranker if reranking else None
    retriever = HybridRetriever(
        embedder=embedder,
        store=store,
        catalogue=catalogue,
        reranking=reranking,
    )
    assistant = _build_assistant(settings, retriever, embedder, reranker)
    ingestor = Ingestor(
        catalogue=catalogue,
        store=store,
        embedder=embedder,
        chunker=Chunker(embedder.tokenizer, max_tokens=settings.passage_tokens),
        shared_store=settings.store is StoreKind.QDRANT,
    )
    return Twofold(settings, catalogue, store, embedder, reranker, ingestor, retriever, assistant)


def _build_assistant(
    settings: Settings,
    retriever: HybridRetriever,
    embedder: Embedder,
    reranker: Reranker | None,
) -> Assistant:
    judged, of_units = EvidenceFinder(embedder), build_unit_embedder(settings)
    try:
        head = IntentHead.load(settings.router_head or bundle.ROUTER_HEAD, embedder=embedder.name)
        answerability = Answerability.load(
            settings.answerability or bundle.ANSWERABILITY,
            embedder=embedder.name,
            reranker=reranker.name if reranker else None,
        )
    except (HeadError, AnswerabilityError) as error:
        raise SettingsError(str(error)) from error

    counting = type(embedder.tokenizer).from_str(embedder.tokenizer.to_str())
    counting.no_truncation()

    def count_tokens(text: str) -> int:
        return len(counting.encode(text, add_special_tokens=False).ids)

    writer = build_writer(settings, count_tokens)
    return Assistant(
        retriever=retriever,
        router=head,
        evidence=EvidenceFinder(of_units, own_space=True) if of_units else judged,
        judged=judged,
        answerability=answerability,
        prompts=PromptBuilder(
            count_tokens=writer.generator.count_tokens,
            budget=settings.prompt_tokens,
            instructed=settings.prompt_instructions,
        ),
        writer=writer,
        passages_per_prompt=settings.passages_per_prompt,
        voices=Voices(settings.voices_folder, embedder),
    )


def _open_store(settings: Settings, embedder: Embedder) -> Store:
    manifest = IndexManifest(
        embedder=embedder.name, dimension=embedder.dimension, language=settings.language
    )
    if settings.store is StoreKind.QDRANT:
        from retrieval.qdrant_store import QdrantStore

        client = _connect(settings)
        return QdrantStore(client, manifest, collection=settings.qdrant_collection)
    return EdgeStore(settings.home / "index", manifest)


def _connect(settings: Settings) -> QdrantClient:
    from retrieval.qdrant_server import connect

    key = settings.qdrant_api_key
    return connect(settings.qdrant_url or "", api_key=key.get_secret_value() if key else None)


def _drop_index(settings: Settings) -> None:
    if settings.store is StoreKind.QDRANT:
        from retrieval.qdrant_store import drop

        client = _connect(settings)
        drop(client, settings.qdrant_collection)
        client.close()
    else:
        shutil.rmtree(settings.home / "index", ignore_errors=True)


def rebuild_index(settings: Settings) -> int:
    """Remake the index from the catalogue; returns the number of documents.

    Raises:
        StoreError: some documents could not be indexed; the log says why.
    """
    with _hold(settings.home):
        _drop_index(settings)
    with open_twofold(settings) as twofold:  # which completes an index that lacks everything
        counts = twofold.catalogue.passage_counts()
        missing = sum(counts.values()) - twofold.store.count()
        if missing > 0:
            raise StoreError(f"{missing:,} passages could not be indexed; run the command again")
        return len(counts)


def _add_starter_documents(twofold: Twofold) -> None:
    """Index the bundled documents in a folder that never held any; goes on where it was killed."""
    mark = twofold.settings.home / "starter-documents"
    state = mark.read_text() if mark.is_file() else ""
    if state == "added" or (not state and twofold.catalogue.count() > 0):
        return
    logger.info("indexing the bundled help centre of Meridian Air (some seconds, once)")
    mark.write_text("adding")
    files = (
        SourceFile(
            path.relative_to(bundle.DOCUMENTS).as_posix(),
            path.read_bytes(),
            collection=path.parent.name,
        )
        for path in sorted(bundle.DOCUMENTS.rglob("*.*"))
    )
    for done in twofold.ingestor.put_all(files):
        if done.error is not None:
            logger.warning("skipped: %s", done.error)
    mark.write_text("added")


@contextmanager
def _hold(home: Path) -> Iterator[None]:
    """Make this process the only one that works in the folder."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / "lock").open("a+")
    except OSError as error:
        raise SettingsError(
            f"cannot use the data folder {home}: {error.strerror or error}; set TWOFOLD_HOME to a "
            "folder that can be written"
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise HomeInUseError(
                f"the data in {home} is in use by process {holder}; stop it, or set TWOFOLD_HOME "
                "to another folder"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
    finally:
        lock.close()
