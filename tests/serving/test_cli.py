"""The commands, with a running server and without one: the same output, and errors in words."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from retrieval.embedding import HashEmbedder
from retrieval.onnx_reranker import OnnxReranker
from retrieval.reranking import OverlapReranker
from router.intents import Intent
from serving import wiring
from serving.cli.main import COMMANDS, main
from serving.cli.server_process import Address, serve_in_thread
from serving.settings import load_settings
from tests.serving.test_assistant import DOCUMENTS, QUESTION, intent_head, verdict

BINARY = bytes(range(256)) * 8
QUESTIONS = [
    {
        "id": f"q{number}",
        "question": question,
        "kind": "single",
        "route": "rag",
        "documents": ["rules/bags.md"],
        "facts": [fact],
        "split": "test",
    }
    for number, (question, fact) in enumerate(
        [(QUESTION, "60 euros"), ("How heavy may a suitcase be?", "23 kg")]
    )
]


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def comparable(self) -> tuple[int, str, str]:
        """Without what differs from run to run: times, ids, ports, dates."""
        return self.status, steady(self.out), steady(self.err)


def steady(text: str) -> str:
    for pattern in (
        r"\d+(\.\d+)? ms",
        r'"timings_ms": \{[^}]*\}',
        r"127\.0\.0\.1:\d+",
        r"chatcmpl-\w+",
        r'"created": \d+',
        r'"updated_at": "[^"]*"',
        r'"total_ms": [\d.]+',
    ):
        text = re.sub(pattern, "~", text)
    return text


def run(
    *words: str,
    home: Path,
    variables: Mapping[str, str] | None = None,
    embedder: HashEmbedder | None = None,
) -> Ran:
    """`twofold WORDS` in this process, with predictable vectors and routes."""
    out, err = io.StringIO(), io.StringIO()
    environment = {**variables_of(home), **(variables or {})}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TWOFOLD_")}
    with (
        patch.dict(os.environ, {**kept, **environment}, clear=True),
        patch.object(wiring, "build_embedder", return_value=embedder or HashEmbedder()),
        patch.object(OnnxReranker, "bundled", return_value=OverlapReranker()),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            status = main(words)
        except SystemExit as exit_:
            status = int(exit_.code or 0)
    return Ran(status, out.getvalue(), err.getvalue())


def variables_of(home: Path) -> dict[str, str]:
    models = home.parent / "cli-models"
    head, judge = models / "head.safetensors", models / "judge.safetensors"
    if not head.exists():
        intent_head(Intent.FACTUAL, HashEmbedder()).save(head)
        verdict(HashEmbedder(), answerable=True).save(judge)
    return {
        "TWOFOLD_HOME": str(home),
        "TWOFOLD_STARTER_DOCUMENTS": "false",
        "TWOFOLD_ROUTER_HEAD": str(head),
        "TWOFOLD_ANSWERABILITY": str(judge),
    }


@contextlib.contextmanager
def served(home: Path, embedder: HashEmbedder | None = None) -> Iterator[Address]:
    """A running server that commands find by its file."""
    with patch.dict(os.environ, variables_of(home)):
        settings = load_settings()
    with (
        patch.object(wiring, "build_embedder", return_value=embedder or HashEmbedder()),
        patch.object(OnnxReranker, "bundled", return_value=OverlapReranker()),
        serve_in_thread(settings) as address,
    ):
        address.write(home)
        yield address


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three documents in a folder of their own, one beside it, a broken and a hidden file."""
    root = tmp_path_factory.mktemp("documents")
    (root / "rules").mkdir()
    for name, text in DOCUMENTS.items():
        (root / "rules" / name).write_text(text)
    (root / "top.txt").write_text("The shop sells [red]socks[/red].")
    (root / "rules" / "broken.pdf").write_bytes(BINARY)
    (root / ".hidden.md").write_text("Hidden.")
    (root / ".git").mkdir()
    (root / ".git" / "config.md").write_text("Hidden too.")
    with gzip.open(root.parent / "more.jsonl.gz", "wt") as bundle:
        bundle.write(json.dumps({"path": "more/a.md", "text": "# A\n\nAn anchor costs 5 euros."}))
        bundle.write("\n" + json.dumps({"path": "b.txt", "text": "A buoy costs 6 euros."}) + "\n")
    (root.parent / "questions.jsonl").write_text(
        "\n".join(json.dumps(question) for question in QUESTIONS)
    )
    return root


def script(folder: Path) -> list[tuple[str, ...]]:
    """Commands in the order in which both homes run them."""
    bundle, questions = folder.parent / "more.jsonl.gz", folder.parent / "questions.jsonl"
    return [
        ("documents",),
        ("ask", QUESTION),
        ("ingest", str(folder)),
        ("ingest", str(folder), "--json"),
        ("ingest", str(bundle), "--collection", "more"),
        (
            "ingest",
            str(folder / "rules" / "pets.md"),
            "--groups",
            "staff",
            "--collection",
            "private",
        ),
        ("documents",),
        ("documents", "--json"),
        ("documents", "show", "rules/bags.md"),
        ("documents", "show", "nope"),
        ("search", QUESTION),
        ("search", QUESTION, "-k", "1", "--json"),
        ("search", "socks"),
        ("search", QUESTION, "-k", "0"),
        ("search", QUESTION, "-k", "rules=1", "-k", "documents=1", "--json"),
        ("ask", QUESTION),
        ("ask", QUESTION, "--json"),
        ("ask", QUESTION, "--max-citations", "1", "--route", "rag"),
        ("ask", "What does the shop sell?", "--collection", "documents"),
        ("ask", ""),
        ("ask", QUESTION, "--route", "fine_tuned"),
        ("ask", QUESTION, "--adapter", "nope"),
        ("evaluate", "questions", str(questions)),
        ("documents", "delete", "rules/bags.md"),
        ("documents", "delete", "rules/bags.md"),
        ("ask", QUESTION),
        ("evaluate", "questions", str(questions)),
    ]


Pairs = dict[tuple[str, ...], list[tuple[Ran, Ran]]]


@pytest.fixture(scope="module")
def both(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    """Every command run alone, and through a server, on homes of the same history."""
    alone, through = tmp_path_factory.mktemp("alone"), tmp_path_factory.mktemp("through")
    commands = script(folder)
    first = [run(*words, home=alone) for words in commands]
    with served(through):
        second = [run(*words, home=through) for words in commands]
    pairs: Pairs = {}
    for words, *pair in zip(commands, first, second, strict=True):
        pairs.setdefault(words, []).append((pair[0], pair[1]))
    return pairs


def one(both: Pairs, *words: str, nth: int = 0) -> Ran:
    found = [pairs for command, pairs in both.items() if command[: len(words)] == words]
    return found[0][nth][0]


def test_each_command_prints_the_same_with_a_server_and_without(both: Pairs) -> None:
    for words, pairs in both.items():
        for alone, through in pairs:
            assert alone.comparable() == through.comparable(), words


def test_ingest_names_what_is_broken_and_goes_on(both: Pairs, folder: Path) -> None:
    ran = one(both, "ingest", str(folder))

    assert ran.status == 0
    assert "4 added, 0 updated, 0 unchanged, 1 failed" in ran.out
    assert "rules/broken.pdf" in ran.out
    assert "hidden" not in ran.out.lower()


def test_ingest_again_changes_nothing(both: Pairs, folder: Path) -> None:
    result = one(both, "ingest", str(folder), "--json").json

    assert (result["added"], result["updated"], result["unchanged"]) == (0, 0, 4)
    assert [item["source"] for item in result["failed"]] == ["rules/broken.pdf"]


def test_documents_lists_sources_and_collections(both: Pairs) -> None:
    listed = {item["source"]: item for item in one(both, "documents", "--json").json["data"]}

    assert listed.keys() == {
        "rules/bags.md",
        "rules/lounge.md",
        "rules/pets.md",
        "top.txt",
        "more/a.md",
        "b.txt",
        "pets.md",  # of a group: this machine's operator sees it all the same
    }
    assert listed["rules/bags.md"]["collection"] == "rules"
    assert listed["top.txt"]["collection"] == "documents"
    assert listed["b.txt"]["collection"] == "more"
    assert "7 documents" in one(both, "documents", nth=1).out


def test_documents_of_nobody_says_how_to_add_some(both: Pairs) -> None:
    assert "twofold ingest" in one(both, "documents").out


def test_documents_show_prints_the_text(both: Pairs) -> None:
    assert one(both, "documents", "show", "rules/bags.md").out == DOCUMENTS["bags.md"] + "\n"


def test_unknown_document_is_told_in_words(both: Pairs) -> None:
    ran = one(both, "documents", "show", "nope")

    assert ran.status == 1
    assert ran.err == "twofold: no document 'nope'; `twofold documents` lists them\n"


def test_deleted_document_answers_no_more(both: Pairs) -> None:
    first, again = (one(both, "documents", "delete", nth=nth) for nth in (0, 1))

    assert first.status == 0
    assert "no longer answers" in first.out
    assert again.status == 1
    assert "60 euros" in one(both, "ask", QUESTION, nth=1).out
    assert "60 euros" not in one(both, "ask", QUESTION, nth=2).out


def test_ask_prints_answer_sources_and_route(both: Pairs) -> None:
    ran = one(both, "ask", QUESTION, nth=1)

    assert "“A second suitcase costs 60 euros.” [1]" in ran.out
    assert re.search(r"^\[1\] Bags  rules/bags\.md$", ran.out, re.MULTILINE)
    assert re.search(r"^route rag 1\.00 · \d+ ms$", ran.out, re.MULTILINE)


def test_ask_json_is_the_whole_reply(both: Pairs) -> None:
    reply = one(both, "ask", QUESTION, "--json").json

    assert reply["object"] == "chat.completion"
    assert reply["twofold"]["citations"]


def test_brackets_in_a_text_are_printed_as_they_are(both: Pairs) -> None:
    assert "[red]socks[/red]" in one(both, "search", "socks").out
    assert "[red]socks[/red]" in one(both, "ask", "What does the shop sell?").out


def test_search_json_holds_k_hits(both: Pairs) -> None:
    (hit,) = one(both, "search", QUESTION, "-k", "1").json["data"]

    assert hit["source"] == "rules/bags.md"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ask", ""), "empty"),
        (("search", QUESTION, "-k", "0"), "greater than or equal to 1"),
        (("ask", QUESTION, "--route", "fine_tuned"), "TWOFOLD_LANGUAGE_MODEL"),
        (("ask", QUESTION, "--adapter", "nope"), "no adapter 'nope'"),
    ],
)
def test_refusal_is_one_line_and_status_one(
    both: Pairs, words: tuple[str, ...], message: str
) -> None:
    ran = both[words][0][0]

    assert ran.status == 1
    assert ran.out == ""
    assert message in ran.err
    assert ran.err.count("\n") == 1


def test_evaluate_prints_the_figures(both: Pairs) -> None:
    ran = one(both, "evaluate", "questions")

    assert ran.status == 0
    assert re.search(r"answer holds the fact +2 +1\.000", ran.out)
    assert "2 questions" in ran.out


def test_evaluate_fails_when_a_bar_is_missed(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text(json.dumps({**QUESTIONS[0], "documents": ["rules/pets.md"]}))
    run("ingest", str(folder), home=tmp_path / "home")
    ran = run(
        "evaluate", "questions", str(file), "--collection", "elsewhere", home=tmp_path / "home"
    )

    assert ran.status == 1
    assert "missed" in ran.out


def test_evaluate_without_its_documents_says_what_is_missing(both: Pairs) -> None:
    ran = one(both, "evaluate", "questions", nth=1)

    assert ran.status == 1
    assert "'rules/bags.md'" in ran.err


def test_evaluate_writes_figures_and_replies(folder: Path, tmp_path: Path) -> None:
    home, target = tmp_path / "home", tmp_path / "deep" / "figures.json"
    run("ingest", str(folder), home=home)
    questions = str(folder.parent / "questions.jsonl")
    ran = run("evaluate", "questions", questions, "--json", str(target), home=home)
    written = json.loads(target.read_text())

    assert ran.status == 0
    assert {figure["name"] for figure in written["figures"]} >= {"answer holds the fact"}
    assert all(len(figure["interval_95"]) == 2 for figure in written["figures"])
    assert [reply["question"]["id"] for reply in written["replies"]] == ["q0", "q1"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), ("", "no question of the 'test' half"), ("{}", ":1: not a question")],
)
def test_evaluate_of_no_questions_is_told(
    tmp_path: Path, content: str | None, message: str
) -> None:
    file = tmp_path / "questions.jsonl"
    if content is not None:
        file.write_text(content)
    ran = run("evaluate", "questions", str(file), home=tmp_path / "home")

    assert ran.status == 1
    assert message in ran.err


# Input of `ingest`.


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bad.jsonl", b"not json\n"),
        ("bad.jsonl", b'{"path": "a.md"}\n'),
        pytest.param(
            "bad.jsonl",
            b'{"path": "a.md", "text": 5}\n',
        ),
        ("bad.jsonl", b'["a.md", "text"]\n'),
        ("bad.jsonl", b"\xff\xfe\n"),
        ("bad.jsonl.gz", b"not gzip at all"),
        ("bad.jsonl.gz", gzip.compress(b'{"path": "a.md", "text": "x"}\n' * 99, mtime=0)[:-9]),
    ],
)
def test_bundle_that_is_none_is_named_with_its_line(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    ran = run("ingest", str(tmp_path / name), home=tmp_path / "home")

    assert ran.status == 1
    assert name in ran.err
    assert "path and text" in ran.err


def test_bundle_line_that_leaves_its_place_is_failed_and_the_others_go_on(tmp_path: Path) -> None:
    rows = [{"path": "../up.md", "text": "Up."}, {"path": "good.md", "text": "Good text."}]
    (tmp_path / "b.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    ran = run("ingest", str(tmp_path / "b.jsonl"), "--json", home=tmp_path / "home")

    assert ran.status == 0
    assert ran.json["added"] == 1
    assert [item["source"] for item in ran.json["failed"]] == ["../up.md"]


def test_folder_where_nothing_can_be_read_is_status_one(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "broken.pdf").write_bytes(BINARY)
    ran = run("ingest", str(tmp_path / "docs"), home=tmp_path / "home")

    assert ran.status == 1
    assert "broken.pdf" in ran.out


@pytest.mark.parametrize("made", [True, False])
def test_nothing_to_ingest_is_told(tmp_path: Path, made: bool) -> None:
    path = tmp_path / "docs"
    if made:
        path.mkdir()
    ran = run("ingest", str(path), home=tmp_path / "home")

    assert ran.status == 1
    assert str(path) in ran.err


def test_dangling_link_and_unreadable_folder_do_not_stop_the_others(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "gone.md").symlink_to(tmp_path / "nowhere.md")
    (docs / "good.md").write_text("Good text.")
    (docs / "dir.md").mkdir()
    ran = run("ingest", str(docs), "--json", home=tmp_path / "home")

    assert ran.status == 0
    assert ran.json["added"] == 1


def test_documents_of_a_group_can_be_ingested_again(tmp_path: Path) -> None:
    (tmp_path / "pay.md").write_text("# Pay\n\nThe cook earns 3000 euros.\n")
    words = ("ingest", str(tmp_path / "pay.md"), "--groups", "staff", "--json")
    first, second = (run(*words, home=tmp_path / "home") for _ in range(2))

    assert first.json["added"] == 1
    assert second.status == 0, second.out
    assert second.json["unchanged"] == 1


# Around the commands.


def test_unknown_variable_is_an_error_that_names_it(tmp_path: Path) -> None:
    ran = run("documents", home=tmp_path, variables={"TWOFOLD_POTR": "1"})

    assert ran.status == 1
    assert ran.out == ""
    assert "TWOFOLD_POTR is no setting" in ran.err


def test_variable_that_is_not_json_is_told_in_words(tmp_path: Path) -> None:
    ran = run("documents", home=tmp_path, variables={"TWOFOLD_KEYS": "secret"})

    assert ran.status == 1
    assert "keys" in ran.err.lower()


def test_home_that_cannot_be_made_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    blocked = {"TWOFOLD_HOME": str(tmp_path / "file" / "home")}
    ran = run("documents", home=tmp_path / "home", variables=blocked)

    assert ran.status == 1
    assert "TWOFOLD_HOME" in ran.err


@pytest.mark.parametrize(
    "broken",
    [
        "index/manifest.json",
        pytest.param(
            "documents.db",
        ),
    ],
)
def test_damaged_home_is_told_in_words(tmp_path: Path, broken: str) -> None:
    home = tmp_path / "home"
    assert run("documents", home=home).status == 0
    (home / broken).write_bytes(b"damaged")
    ran = run("documents", home=home)

    assert ran.status == 1
    assert broken.split("/", maxsplit=1)[0] in ran.err
    assert ran.err.count("\n") <= 3


def test_index_of_another_embedder_is_told_and_rebuilt(folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    run("ingest", str(folder), home=home)
    manifest = json.loads((home / "index" / "manifest.json").read_text())
    (home / "index" / "manifest.json").write_text(json.dumps({**manifest, "embedder": "other"}))
    refused = run("search", QUESTION, home=home)
    rebuilt = run("documents", "rebuild", home=home)
    found = run("search", QUESTION, "--json", home=home)

    assert refused.status == 1
    assert "'other'" in refused.err
    assert "twofold documents rebuild" in refused.err
    assert "from 4 documents" in rebuilt.out
    assert found.json["data"][0]["source"] == "rules/bags.md"


def test_rebuild_beside_a_running_server_is_refused_with_its_place(tmp_path: Path) -> None:
    with served(tmp_path / "home") as address:
        ran = run("documents", "rebuild", home=tmp_path / "home")

    assert ran.status == 1
    assert address.url in ran.err


def test_foreign_server_at_the_old_address_is_not_used(folder: Path, tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    run("ingest", str(folder / "rules" / "bags.md"), home=mine)
    with served(other) as address:
        # The server of `mine` was killed; another home's server has its port now.
        Address(address.url, "an-old-token", pid=1).write(mine)
        ran = run("documents", "--json", home=mine)

    assert [item["source"] for item in ran.json["data"]] == ["bags.md"]


@pytest.mark.parametrize(
    "content",
    ["", "not json", "[]", '{"url": 5}', '{"url": "http://127.0.0.1:1", "token": "x", "pid": 1}'],
)
def test_stale_or_damaged_server_file_does_not_hurt(tmp_path: Path, content: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "server.json").write_text(content)

    assert run("documents", "--json", home=home).json["data"] == []


@pytest.mark.parametrize(
    "words", [("--help",), ("-h",), *((command, "--help") for command in COMMANDS)]
)
def test_help_says_what_there_is(words: Sequence[str], tmp_path: Path) -> None:
    ran = run(*words, home=tmp_path)

    assert ran.status == 0
    assert "usage: twofold" in ran.out


def test_help_names_every_command(tmp_path: Path) -> None:
    helped = run("--help", home=tmp_path).out

    assert all(re.search(rf"^  {command} ", helped, re.MULTILINE) for command in COMMANDS)


@pytest.mark.parametrize(
    "words",
    [(), ("nope",), ("ask",), ("search",), ("documents", "show"), ("evaluate", "questions")],
)
def test_wrong_usage_is_status_two(words: Sequence[str], tmp_path: Path) -> None:
    assert run(*words, home=tmp_path).status == 2


def test_help_is_quick() -> None:
    times = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run(
            [str(Path(sys.executable).with_name("twofold")), "--help"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        times.append(time.perf_counter() - started)

    assert statistics.median(times) < 0.5


@pytest.mark.parametrize(
    "words", [("-k", "many"), ("-k", "a=b"), ("-k", "=3"), ("-k", "3", "-k", "4"), ("-k", "a=-1")]
)
def test_search_names_a_wrong_k(tmp_path: Path, words: tuple[str, ...]) -> None:
    ran = run("search", QUESTION, *words, home=tmp_path)

    assert ran.status == 2
    assert "-k" in ran.err


def test_output_into_a_closed_pipe_is_no_error(tmp_path: Path, models_dir: Path) -> None:
    environment = {**os.environ, **variables_of(tmp_path / "home")}
    environment["TWOFOLD_POTR"] = "1"  # ends before anything heavy is loaded
    for command in ("twofold --help | head -1", "twofold documents 2>&1 | head -0"):
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            env={**environment, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr
