"""`twofold decide` as it is typed: the published run, other ways to say it, what is refused."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import resource
import select
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from finetune.examples import Example
from serving.cli.main import main
from tests.conftest import ROOT
from tests.finetune.answer_sets import from_answers, varied
from tests.router.use_cases import PUBLISHED

FLAGS = {f"--{name.replace('_', '-')}": word for name, word in PUBLISHED.items()}
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[[0-9;]*(?:3[0-7]|9[0-7]|4[0-7])m")
FRAME = "╭╮╰╯│─"


def words(**changes: str | None) -> list[str]:
    """The published command line with other answers; None leaves one out."""
    flags: dict[str, str | None] = {**FLAGS}
    flags |= {f"--{name.replace('_', '-')}": word for name, word in changes.items()}
    return ["analyze", *(part for flag, word in flags.items() if word for part in (flag, word))]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(["decide", *arguments])
    assert caught.value.code == 2
    return capsys.readouterr().err


def in_terminal(
    columns: int, *arguments: str, typed: str = "", variables: Mapping[str, str] | None = None
) -> str:
    """What a terminal of this width shows."""
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    environment = {**kept, "COLUMNS": str(columns), "TERM": "xterm-256color", **(variables or {})}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "router.decision_engine", *arguments],
        cwd=ROOT,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    os.write(ours, typed.encode())
    shown = b"".join(_read(ours))
    process.wait(timeout=30)
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")


def _read(terminal: int) -> Iterator[bytes]:
    while select.select([terminal], [], [], 30)[0]:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            return
        if not piece:
            return
        yield piece


# The published run.


def test_published_command_gives_the_published_panel(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decide", *words()]) == 0
    said = capsys.readouterr().out
    assert said.startswith(
        "Analysis Report\n\nRECOMMENDATION: Hybrid (RAG + LoRA Fine-tuning)\n\nReasoning:\n"
    )
    assert "Estimated Monthly Cost: $570\n- LLM API: $250\n- Vector DB: $70\n" in said
    assert "- Embeddings: $0.20\n- LoRA hosting: $250 (one-time: $150)\n" in said


def test_module_says_what_the_command_says(capsys: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "router.decision_engine", *words()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    main(["decide", *words()])
    assert done.stdout == capsys.readouterr().out


def test_decision_is_there_in_half_a_second() -> None:
    """In processor time: the clock on the wall also counts what else the machine does."""
    command = [sys.executable, "-m", "router.decision_engine", *words()]
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert statistics.median(times) < 0.5


def test_decision_loads_no_model_library() -> None:
    code = (
        "import sys; from serving.cli.main import main; "
        f"main(['decide', *{words()!r}]); "
        "sys.stderr.write(' '.join({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.split())
    assert "rich" in loaded
    assert not loaded & {"torch", "numpy", "transformers", "onnxruntime", "pydantic", "matplotlib"}


# Where it is shown.


def test_piped_output_is_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    main(["decide", *words(latency_requirement="50ms", training_data="5")])
    said = capsys.readouterr().out
    assert not ESCAPE.search(said)
    assert not set(FRAME) & set(said)
    assert "\nCONFLICT: " in said
    assert "\nWARNING: 5 examples is INSUFFICIENT for LoRA. Gathering more data recomm" in said


@pytest.mark.parametrize("columns", [30, 40, 60, 100])
def test_terminal_shows_a_panel_that_fits(columns: int) -> None:
    shown = ESCAPE.sub("", in_terminal(columns, *words(latency_requirement="50ms")))
    first, *_ = shown.splitlines()
    assert first.startswith("╭─")
    assert "Analysis Report" in first
    assert max(map(len, shown.splitlines())) <= columns
    assert "RECOMMENDATION: Hybrid" in shown
    assert "…" not in shown  # nothing is cut off
    assert all(each in shown for each in ("236,520", "175,060", "535–2,120 ms", "$175K", "2–4"))


def test_gantt_keeps_its_bars_in_a_narrow_terminal() -> None:
    shown = ESCAPE.sub("", in_terminal(40, *words())).splitlines()
    bars = [re.search("[█░]+", line) for line in shown if "█" in line and "at least" not in line]
    spans = [bar.span() for bar in bars if bar]
    assert [stop - start for start, stop in spans] == [2, 3, 1, 1, 1, 4]
    assert all(one[1] == other[0] for one, other in pairwise(spans))


def test_no_color_is_obeyed() -> None:
    arguments = words(latency_requirement="50ms")
    assert COLOUR.search(in_terminal(80, *arguments))
    assert not COLOUR.search(in_terminal(80, *arguments, variables={"NO_COLOR": "1"}))


# Other ways to say it.


def test_conflict_is_named_with_its_budget_and_the_exit_status_is_0(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["decide", *words(latency_requirement="50ms", style_requirements="low")]) == 0
    said = capsys.readouterr().out
    assert "RECOMMENDATION: RAG Only" in said
    assert "CONFLICT: " in said
    for step in ("20–50 ms", "10–50 ms", "5–20 ms", "500–2,000 ms"):
        assert step in said


def test_measured_latencies_take_the_place_of_the_assumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = {"embed": {"p50": 2.5, "p95": 3}, "search": {"p50": 11, "p95": 19}}
    file = tmp_path / "bench.json"
    file.write_text(json.dumps({"sizes": [{"passages": 5000, "stages_ms": stages}]}))
    assert main(["decide", *words(), "--bench", str(file)]) == 0
    said = capsys.readouterr().out
    assert "2.5–3 ms" in said
    assert "11–19 ms" in said
    assert "measured, 5,000 passages" in said
    main(["decide", *words(latency_requirement="none"), "--bench", str(file)])
    assert "time goes (no limit)" in capsys.readouterr().out


def test_managed_prices_give_the_published_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    main(["decide", *words(monthly_queries="1M"), "--price-mode", "managed"])
    said = capsys.readouterr().out
    assert re.search(r"a month +\$2,572 +\$12,000 +\$2,572 ", said)
    assert re.search(r"once +– +\$250 +\$50–\$200 ", said)
    assert re.search(r"Total +\$85K +\$460K +\$107K", said)


def test_printed_price_file_is_taken_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["decide", "prices"]) == 0
    file = tmp_path / "mine.toml"
    file.write_text(capsys.readouterr().out.replace("= 70.0", "= 7.0"))
    main(["decide", *words(), "--prices", str(file)])
    assert "- Vector DB: $7.00\n" in capsys.readouterr().out


def test_price_file_that_is_wrong_fails_with_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("rent = 3")
    assert main(["decide", *words(), "--prices", str(file)]) == 1
    assert "mine.toml: rent: no such name; there are mode" in capsys.readouterr().err


def test_volume_beyond_the_capacity_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    main(["decide", *words(knowledge_changes="never", needs_citations="no", monthly_queries="1M")])
    said = capsys.readouterr().out
    assert "RECOMMENDATION: Fine-Tuning Only (LoRA)" in said
    assert "LLM API" not in said
    assert "- Capacity: 236,520 queries a month" in said
    assert "WARNING: 1,000,000 queries a month are more than one host's capacity." in said
    assert "WARNING: Fine-tuned only counts one host; 1,000,000 queries a month are more." in said


def test_capacity_is_rounded_down_to_what_is_not_yet_too_much(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[capacity]\ntokens_per_s = 180.0005\n")  # 236,520.657 queries a month
    tuned = {"knowledge_changes": "never", "needs_citations": "no", "monthly_queries": "236521"}
    main(["decide", *words(**tuned), "--prices", str(file)])
    said = capsys.readouterr().out
    assert "- Capacity: 236,520 queries a month" in said
    assert "WARNING: 236,521 queries a month are more" in said


def test_compliance_flags_decide_and_contradict(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--data-must-not-enter-weights", "--no-external-data-access"]
    assert main(["decide", *words(style_requirements="low"), *flags]) == 0
    said = capsys.readouterr().out
    assert "RECOMMENDATION: RAG Only" in said
    assert "- Data must not enter weights → RAG only" in said
    assert "CONFLICT: data must not enter weights, and no external data access" in said


def test_gantt_shows_each_task_after_the_one_before(capsys: pytest.CaptureFixture[str]) -> None:
    main(["decide", *words()])
    lines = capsys.readouterr().out.splitlines()
    tasks = ("Collection", "Filtering", "Format", "Edge cases", "Validation set", "Annotation")
    bars = [re.search("[█░]+", line) for task in tasks for line in lines if line.startswith(task)]
    spans = [bar.span() for bar in bars if bar]
    assert len(spans) == 6
    assert all(one[1] == other[0] for one, other in pairwise(spans))
    assert "Preparing the examples: 7 to 12 weeks, one task after the other" in lines


def test_gantt_is_left_out_where_nothing_is_trained(capsys: pytest.CaptureFixture[str]) -> None:
    main(["decide", *words(style_requirements="low")])
    assert "Preparing" not in capsys.readouterr().out


def test_json_holds_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decide", *words(), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["decision"]["recommendation"] == "Hybrid (RAG + LoRA Fine-tuning)"
    assert record["decision"]["route"] == "hybrid"
    assert record["costs"]["monthly"] == pytest.approx(570.20)
    assert record["comparison"]["gpu_cheaper_from_queries"]["fine_tuned"] is None
    assert record["flow"]["path"][-1] == {"question": "At least 100 examples?", "answer": "yes"}
    assert record["assumptions"]["api"]["vector_db_per_month"] == 70
    assert record["data_preparation"]["weeks"] == {"low": 7, "high": 12}
    assert record.keys() >= {"ownership", "latency_budget", "sensitivity", "use_case"}


def test_html_is_written_beside_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "decision.html"
    assert main(["decide", *words(), "--html", str(file)]) == 0
    assert "Analysis Report" in capsys.readouterr().out
    assert file.read_text(encoding="utf-8").count("<svg") == 3


def test_html_in_the_place_of_a_folder_fails_with_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["decide", *words(), "--html", str(tmp_path)]) == 1
    assert f"twofold: {tmp_path}: is a folder" in capsys.readouterr().err


# Examples instead of their number.


def examples_file(path: Path, examples: list[Example]) -> str:
    rows = [{"input": each.messages[0].content, "output": each.answer} for each in examples]
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def test_examples_are_checked_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = examples_file(tmp_path / "train.jsonl", varied(120))
    assert main(["decide", *words(training_data=None), "--examples", file]) == 0
    said = capsys.readouterr().out
    assert "RECOMMENDATION: Hybrid" in said
    assert "- 120 examples sufficient for LoRA" in said


def test_examples_that_repeat_do_not_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = [Example(120 + n, varied(90)[0].messages) for n in range(1, 31)]
    file = examples_file(tmp_path / "train.jsonl", [*varied(90), *same])
    main(["decide", *words(training_data=None), "--examples", file])
    said = capsys.readouterr().out
    assert "RECOMMENDATION: RAG Only" in said
    assert "90 examples is INSUFFICIENT" in said
    assert "train.jsonl: 90 of 120 examples count" in said


def test_examples_with_facts_that_change_contradict_stable_knowledge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = [each.answer.replace("is open.", "opens on 3 March 2026.") for each in varied(120)]
    file = examples_file(tmp_path / "train.jsonl", from_answers(facts))
    never = words(training_data=None, knowledge_changes="never", needs_citations="no")
    main(["decide", *never, "--examples", file])
    said = capsys.readouterr().out
    assert "CONFLICT: knowledge is said to stay, and the examples hold facts that change" in said


def test_examples_and_their_number_together_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = refused(capsys, *words(), "--examples", "train.jsonl")
    assert "--examples: not allowed with argument --training-data" in said


# What is refused.


@pytest.mark.parametrize("flag", list(FLAGS))
def test_each_of_the_six_is_required(capsys: pytest.CaptureFixture[str], flag: str) -> None:
    said = refused(capsys, *words(**{flag.removeprefix("--").replace("-", "_"): None}))
    assert "required" in said
    assert flag in said


def test_every_answer_that_is_not_understood_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(
        capsys, *words(knowledge_changes="often", latency_requirement="2", training_data="many")
    )
    assert "argument --knowledge-changes: 'often' is no period; write daily" in said
    assert "argument --latency-requirement: '2' has no unit; write a number and its unit" in said
    assert "argument --training-data: 'many' is no number of examples" in said


# One by one.


def test_interactive_asks_what_no_flag_says_and_why(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("now and then\nweekly\nyes\n200\n2s\n100k\n"))
    assert main(["decide", "analyze", "--inter", "--style-requirements", "high"]) == 0
    shown = capsys.readouterr()
    assert "What changes within a month is retrieved" in shown.err
    assert "'now and then' is no period; write daily" in shown.err
    assert "consistent voice" not in shown.err
    assert "RECOMMENDATION: Hybrid" in shown.out


def test_interactive_gives_the_same_report(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(PUBLISHED.values()) + "\n"))
    main(["decide", "analyze", "--interactive"])
    asked = capsys.readouterr().out
    main(["decide", *words()])
    assert capsys.readouterr().out == asked


def test_interactive_that_ends_early_names_the_flag(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("weekly\n"))
    assert "before an answer to --needs-citations" in refused(capsys, "analyze", "--interactive")


# Thirty seconds.


def test_quick_decides_from_flags(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--information-changes", "no", "--needs-citations", "yes", "--needs-style", "yes"]
    assert main(["decide", "quick", *arguments]) == 0
    said = capsys.readouterr().out
    assert said.startswith("RAG: ")
    assert "Decided by question 2 of 6" in said
    assert "RAG now. `twofold decide analyze` would add" in said


def test_quick_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["information-changes", "needs-citations", "needs-style", "few-examples", "under-100ms"]
    arguments = [part for flag in flags for part in (f"--{flag}", "no")]
    assert main(["decide", "quick", *arguments, "--unsure", "yes", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["advice"], record["decided_by"], record["note"]) == ("RAG", 6, None)


def test_quick_without_a_terminal_names_the_missing_flag(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    said = refused(capsys, "quick", "--information-changes", "no")
    assert "--needs-citations is missing" in said


def test_quick_answer_that_is_not_understood_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = refused(capsys, "quick", "--information-changes", "perhaps")
    assert "--information-changes: 'perhaps' is neither yes nor no" in said


def test_quick_asks_in_a_terminal() -> None:
    shown = ESCAPE.sub("", in_terminal(80, "quick", typed="no\nno\nyes\n60\n"))
    assert "Must answers cite their sources?" in shown
    assert "RAG + few-shot: " in shown
    assert "Must answers come in under 100 ms?" not in shown
