"""The README's commands, run."""

from __future__ import annotations

import json
import re
from pathlib import Path

from serving.cli.main import COMMANDS
from tests.conftest import ServerProcess

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_readme_curl_gives_the_printed_answer(running_server: ServerProcess) -> None:
    pattern = r"```console\n\$ curl .*? -d '(\{.*?\})' \| python3 [^\n]*\n(.*?)```"
    run = re.search(pattern, README, re.DOTALL)
    assert run is not None
    with running_server.client as client:
        reply = client.post("/v1/chat/completions", json=json.loads(run[1])).json()
    assert reply["choices"][0]["message"]["content"].strip() == run[2].strip()
    assert reply["twofold"]["citations"][0]["collection"] == "notices"


def test_readme_names_commands_that_exist() -> None:
    named = set(re.findall(r"(?:bin/|`)twofold (\w+)", README))
    assert named >= {"ask", "ingest", "search", "documents", "doctor", "evaluate"}
    assert named <= set(COMMANDS)


def test_readme_names_make_targets_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"make (serve|test|check|fix)\b", README))
    assert named == {"serve", "test", "check", "fix"}
    for target in named:
        assert re.search(rf"^{target}: ", makefile, re.MULTILINE)


def test_readme_links_to_files_that_exist() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
