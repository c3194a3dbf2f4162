"""Who may import whom (design.md, section 1), read from the source without running it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {"retrieval", "router", "finetune", "serving", "eval", "starter"}
MAY_IMPORT = {
    "starter": {"starter"},
    "retrieval": {"retrieval"},
    "router": {"router", "starter"},
    "finetune": {"finetune", "starter"},
    "serving": ROOMS - {"eval"},
    "eval": ROOMS,
}
# Run with -m: they may import any room but `eval`, and nobody imports them.
COMMANDS = {
    "router.train",
    "router.calibrate",
    "router.decision_engine",
    "finetune.embedder",
    "finetune.hard_negatives",
    "finetune.reranker",
    "finetune.train",
    "finetune.unit_embedder",
}
COMMAND_LINE = "serving.cli"  # may import `eval` too


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    module_name(path): path.read_text(encoding="utf-8")
    for room in sorted(ROOMS)
    for path in sorted((ROOT / room).rglob("*.py"))
}


def imports(module: str, source: str, *, at_start_only: bool = False) -> Iterator[str]:
    """Dotted names that a module imports, those inside functions too; `from a import b` is a.b.

    With `at_start_only`, what runs when the module is imported: nothing in functions, and nothing
    under TYPE_CHECKING.
    """
    tree = ast.parse(source)
    nodes = _run_at_start(tree.body) if at_start_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module.split(".")[: -node.level], *filter(None, [base])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _run_at_start(body: list[ast.stmt]) -> Iterator[ast.AST]:
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            continue
        yield from ast.walk(statement)


def problems(module: str, source: str) -> list[str]:
    """What a module imports although its room may not."""
    room = module.partition(".")[0]
    allowed = ROOMS - {"eval"} if module in COMMANDS else MAY_IMPORT[room]
    if module == COMMAND_LINE or module.startswith(f"{COMMAND_LINE}."):
        allowed = ROOMS
    found = []
    for name in imports(module, source):
        other = name.partition(".")[0]
        if other in ROOMS - allowed:
            found.append(f"{module} imports {name}: {room} may not import {other}")
        if any(name == command or name.startswith(f"{command}.") for command in COMMANDS):
            found.append(f"{module} imports {name}, which is only run with -m")
    return found


@pytest.mark.parametrize("module", SOURCES)
def test_module_imports_only_what_its_room_may(module: str) -> None:
    assert problems(module, SOURCES[module]) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("retrieval.words", "from serving.settings import load_settings"),
        ("retrieval.words", "from starter import bundle"),
        ("retrieval.words", "def f():\n    import router.head"),
        ("router.head", "from retrieval.embedding import Vectors"),
        ("finetune.registry", "from ..serving import wiring"),
        ("serving.wiring", "import eval.metrics"),
        ("serving.wiring", "from router import train"),
        ("router.train", "from eval.metrics import recall"),
        ("starter.bundle", "from retrieval.loading import load"),
        ("eval.gate", "from router.train import train"),
    ],
)
def test_module_that_imports_what_it_may_not_is_found(module: str, source: str) -> None:
    assert len(problems(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("router.train", "from serving.wiring import build_embedder"),
        ("finetune.embedder", "from starter.bundle import read_questions"),
        ("serving.cli.evaluate", "from eval.gate import run"),
        ("serving.wiring", "from router.head import IntentHead"),
        ("eval.gate", "from serving.wiring import open_twofold"),
        ("retrieval.words", "from __future__ import annotations\nimport evaluate"),
    ],
)
def test_module_that_imports_what_it_may_is_not_found(module: str, source: str) -> None:
    assert problems(module, source) == []


def test_modules_import_each_other_without_a_cycle() -> None:
    graph = {
        module: {
            name if name in SOURCES else name.rpartition(".")[0]
            for name in imports(module, source, at_start_only=True)
        }
        & set(SOURCES) - {module}
        for module, source in SOURCES.items()
    }
    assert len(list(TopologicalSorter(graph).static_order())) == len(SOURCES)


@pytest.mark.parametrize("module", sorted(COMMANDS & set(SOURCES)))
def test_command_can_be_run_with_m(module: str) -> None:
    last = ast.parse(SOURCES[module]).body[-1]
    assert isinstance(last, ast.If)
    assert ast.unparse(last.test) == "__name__ == '__main__'"


def loaded_by(*modules: str) -> set[str]:
    """Top-level names in sys.modules after a fresh interpreter imported the modules."""
    code = "\n".join(
        [
            "import sys",
            *(f"import {module}" for module in modules),
            "print(*{name.partition('.')[0] for name in sys.modules})",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_command_line_starts_without_heavy_modules() -> None:
    heavy = {"torch", "numpy", "fastapi", "rich", "pydantic", "onnxruntime", "transformers"}
    loaded = loaded_by("serving.cli.main")
    assert not loaded & heavy
    assert loaded & ROOMS == {"serving"}


def test_decision_starts_without_heavy_modules() -> None:
    heavy = {"torch", "numpy", "fastapi", "pydantic", "onnxruntime", "transformers", "matplotlib"}
    loaded = loaded_by("serving.cli.decide", "serving.cli.decide_report", "router.decision_page")
    assert not loaded & heavy
    assert loaded & ROOMS == {"serving", "router"}


ENGINES = {
    "finetune.callbacks",
    "retrieval.edge_query",
    "retrieval.edge_store",
    "retrieval.qdrant_store",
    "retrieval.qdrant_server",
}


def test_library_modules_are_imported_without_models_and_engines() -> None:
    libraries = [
        module
        for module in SOURCES
        if module.partition(".")[0] in {"retrieval", "router", "finetune", "starter"}
        and module not in ENGINES
        and module not in COMMANDS
    ]
    heavy = {
        "torch",
        "transformers",
        "sentence_transformers",
        "peft",
        "onnxruntime",
        "sklearn",
        "markitdown",
        "qdrant_edge",
        "qdrant_client",
    }
    assert not loaded_by(*libraries) & heavy
