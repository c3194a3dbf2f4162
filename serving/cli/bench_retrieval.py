"""`twofold bench retrieval --passages N`: the time of each stage, beside what others would use."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.cli.bundled_weights import bundled_weights
from serving.cli.options import add_profile, count, settings_of, write_json
from serving.cli.stage_tables import progress_bars
from serving.settings import Settings
from starter import bundle

if TYPE_CHECKING:
    from eval.bench.corpus import Corpus
    from eval.corpus_index import Pipeline, Track

DEFAULT_SEED = 20261126
BASELINES = ("rank-bm25", "bm25s", "encode", "predict")
NO_BASELINE = "none"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this command takes."""
    parser.add_argument(
        "--passages",
        action="extend",
        nargs="+",
        required=True,
        type=count,
        metavar="N",
        help="sizes of the corpus, such as 1000 10000 100000",
    )
    parser.add_argument(
        "--text",
        action="append",
        type=Path,
        metavar="PATH",
        help="real text, in files or anywhere below a folder: .md, .txt, .jsonl(.gz) with path and "
        "text, BEIR's corpus.jsonl(.gz); may be given again; default: the bundled documents. "
        "Passages beyond what it holds are recombined from it",
    )
    parser.add_argument(
        "--questions",
        type=Path,
        metavar="DIR",
        help="a set in BEIR layout whose queries are asked; default: the bundled questions",
    )
    parser.add_argument(
        "--queries", type=count, default=200, metavar="N", help="how many of them (default 200)"
    )
    parser.add_argument(
        "--seed", type=int, default=DEFAULT_SEED, metavar="S", help="decides which, and the corpus"
    )
    parser.add_argument(
        "--baseline",
        action="append",
        choices=(*BASELINES, NO_BASELINE),
        dest="baselines",
        help="what to compare with; may be given again; default: all of them",
    )
    parser.add_argument(
        "--max-memory-gib",
        type=float,
        default=8.0,
        metavar="GIB",
        help="a baseline that would take more at some size is left out there (default 8)",
    )
    parser.add_argument(
        "--ingest-passages",
        type=_count_or_none,
        default=1000,
        metavar="N",
        help="real passages that the ingest is timed with (default 1000; 0: not at all)",
    )
    parser.add_argument(
        "--server-questions",
        type=_count_or_none,
        default=1000,
        metavar="N",
        help="questions after which a server's memory is read (default 1000; 0: no server)",
    )
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="keep vectors and indexes here for the next run"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw them: .svg or .png")
    add_profile(parser)


def _count_or_none(word: str) -> int:
    return 0 if word == "0" else count(word)


def run(options: argparse.Namespace) -> int:
    """Make each corpus, ask every question, print the tables."""
    from eval.bench.bars import bars
    from eval.bench.baselines import Baseline, open_baselines
    from eval.bench.plot import plot
    from eval.bench.run import Plan, measure
    from eval.stage_plot import check_plot
    from retrieval.points import IndexManifest
    from serving.cli.bench_tables import print_measured

    # 1. What can be wrong, before the time that embedding takes.
    if options.plot:
        check_plot(options.plot)
    settings = settings_of(options)
    questions = _questions(options)
    wanted = _wanted(options.baselines)
    _check_packages(wanted)
    started = datetime.now(UTC)

    # 2. Text and vectors, then every corpus.
    pipeline = _pipeline(settings)
    with _work(options.work) as work, progress_bars() as bars_shown:
        corpus = _corpus(options, pipeline, work, bars_shown.track)
        manifest = IndexManifest(
            embedder=pipeline.embedder.name,
            dimension=pipeline.embedder.dimension,
            language=pipeline.language,
        )
        plan = Plan(
            sizes=options.passages,
            questions=questions,
            work=work,
            max_memory_gib=options.max_memory_gib,
            ingest_passages=options.ingest_passages,
            server_questions=options.server_questions,
            profile=options.profile,
        )
        names = [Baseline(name) for name in wanted]
        with open_baselines(names, manifest, bundled_weights(settings)) as baselines:
            measured = measure(plan, corpus, pipeline, baselines, bars_shown.track)

    # 3. What was found.
    run_record = {
        "started": started.isoformat(timespec="seconds"),
        **_circumstances(options, corpus, pipeline, questions),
    }
    print_measured(measured, bars(measured), run_record)
    if options.json:
        promises = [bar.record() for bar in bars(measured)]
        write_json(options.json, {**run_record, **measured.record(), "bars": promises})
    if options.plot:
        plot(measured, options.plot)
    return 0


def _questions(options: argparse.Namespace) -> list[str]:
    import random

    if options.questions:
        from eval.beir import read_queries

        texts = [text for _, text in sorted(read_queries(options.questions).items())]
    else:
        texts = [question.question for question in bundle.read_questions()]
    texts = [text for text in dict.fromkeys(texts) if text.strip()]
    return random.Random(options.seed).sample(texts, min(options.queries, len(texts)))


def _wanted(given: Sequence[str] | None) -> list[str]:
    return [name for name in given or BASELINES if name != NO_BASELINE]


def _check_packages(wanted: Sequence[str]) -> None:
    """Raises EvaluationError: a package that a baseline needs is missing."""
    import importlib

    from eval.errors import needs_extra

    packages = {"rank-bm25": "rank_bm25", "bm25s": "bm25s"}
    for name in wanted:
        try:
            importlib.import_module(packages.get(name, "argparse"))
        except ImportError as error:
            raise needs_extra(error) from error


def _pipeline(settings: Settings) -> Pipeline:
    from eval.corpus_index import Pipeline
    from serving import wiring

    return Pipeline(
        embedder=wiring.build_embedder(settings),
        reranking=wiring.build_reranking(settings),
        passage_tokens=settings.passage_tokens,
        language=settings.language,
    )


def _corpus(options: argparse.Namespace, pipeline: Pipeline, work: Path, track: Track) -> Corpus:
    from eval.bench.corpus import Corpus
    from eval.bench.sources import cut, read_sources
    from eval.bench.vectors import embed_all
    from retrieval.chunking import Chunker

    chunker = Chunker(pipeline.embedder.tokenizer, max_tokens=pipeline.passage_tokens)
    sources = read_sources(options.text or [bundle.DOCUMENTS], seed=options.seed)
    groups = cut(sources, chunker, limit=max(options.passages))
    texts = [passage.searchable for group in groups for passage in group.passages]
    vectors = embed_all(texts, pipeline.embedder, work=work, track=track)
    return Corpus.of(groups, vectors, seed=options.seed)


def _commit() -> str | None:
    """Of the checkout that this runs from; None where it is installed without one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None


@contextmanager
def _work(kept: Path | None) -> Iterator[Path]:
    if kept is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
    else:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept


def _circumstances(
    options: argparse.Namespace, corpus: Corpus, pipeline: Pipeline, questions: Sequence[str]
) -> dict[str, Any]:
    """What the figures hold for."""
    from eval.bench.layout import ASKED_GROUPS, GROUPS, TENANTS
    from retrieval.edge_query import GRAPH_SEARCH_WIDTH
    from retrieval.edge_store import GRAPH_BUILD_WIDTH, SCAN_LIMIT

    return {
        "commit": _commit(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average": list(os.getloadavg()),
        "python": platform.python_version(),
        "embedder": pipeline.embedder.name,
        "reranker": pipeline.reranking.reranker.name if pipeline.reranking else None,
        "passage_tokens": pipeline.passage_tokens,
        "language": pipeline.language,
        "profile": options.profile,
        "seed": options.seed,
        "text": [str(path) for path in options.text or ()] or "bundled documents",
        "corpus_sha256": corpus.sha256(),
        "real_passages": corpus.real,
        "noise_stretch": corpus.stretch,
        "questions": len(questions),
        "tenants": TENANTS,
        "groups": len(GROUPS),
        "groups_of_a_question": ASKED_GROUPS,
        "hnsw_ef": GRAPH_SEARCH_WIDTH,
        "ef_construct": GRAPH_BUILD_WIDTH,
        "scan_limit": SCAN_LIMIT,
    }
