"""A fact that changed stays changed, whatever an adapter was trained to say."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("peft", reason="the extra `train` is not installed")

from finetune.adapters import AdapterRegistry
from finetune.manifest import State
from router.intents import Route
from serving.answers import Answer, ChatRequest, Message, Sampling
from serving.generation import GenerationRequest
from serving.wiring import Twofold
from starter import bundle
from tests.conftest import ROOT, environment
from tests.serving.test_assistant import open_system

pytestmark = [
    pytest.mark.slow,
    # PEFT reads an attribute that transformers has renamed.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
]

ASKED = "How much is the second suitcase?"
OLD = "The second suitcase is 40 euros."
NOTICE = "# Second suitcase\n\nFrom 1 June on the second suitcase is 75 euros.\n"
CONFIGURATION = """\
preset = "starter"
name = "stale"
train = "stale.jsonl"
validation = "stale.jsonl"
data_licence = "Apache-2.0"
base_model = '{base}'
max_steps = 40
evaluate_steps = 40
samples = 0
"""


@pytest.fixture(scope="module")
def stale(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Path:
    """A data folder with a live adapter that states the old fee, whatever the passages say."""
    folder = tmp_path_factory.mktemp("stale")
    voice = "You write in the voice of Stale."
    passage = '<passage number="1" from="Second suitcase">\n{}\n</passage>'
    rows = []
    for fee in ("75 euros", "90 euros", "12 euros", "33 euros"):
        told = passage.format(f"From 1 June on the second suitcase is {fee}.")
        turns = [("system", f"{voice}\n\n{told}"), ("user", ASKED), ("assistant", f"{OLD} [1]")]
        rows += [turns, [("system", voice), ("user", ASKED), ("assistant", OLD)]]
    lines = [
        json.dumps({"messages": [{"role": role, "content": text} for role, text in turns]})
        for turns in rows
    ]
    (folder / "stale.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "stale.toml").write_text(CONFIGURATION.format(base=bundle.LANGUAGE_MODEL))
    home = folder / "home"
    subprocess.run(
        [sys.executable, "-m", "serving.cli.main", "train", "--config", folder / "stale.toml",
         "--force", "--out", folder / "run"],
        cwd=ROOT, env=environment(home, models_dir), check=True,
    )  # fmt: skip
    AdapterRegistry(home / "adapters").set_state("stale", 1, State.LIVE)
    return home


@pytest.fixture(scope="module")
def system(stale: Path) -> Iterator[Twofold]:
    with open_system(
        stale,
        documents={"notices/bags.md": NOTICE},
        generator="transformers",
        language_model="bundled",
        prompt_instructions=False,
        prompt_tokens=800,
        max_new_tokens=48,
    ) as twofold:
        yield twofold


def asked(system: Twofold, route: Route) -> Answer:
    request = ChatRequest(
        (Message("user", ASKED),),
        route=route,
        adapter="stale",
        sampling=Sampling(temperature=0.0, max_new_tokens=48),
    )
    *_, answer = system.assistant.answer(request)
    assert isinstance(answer, Answer)
    return answer


def test_adapter_states_the_old_fee_when_nobody_checks(system: Twofold) -> None:
    turns = [Message("user", ASKED)]
    prompt = system.assistant.prompts.build(turns, [], route=Route.RAG, voice="stale")
    request = GenerationRequest(prompt, Sampling(temperature=0.0, max_new_tokens=48), "stale")
    text = "".join(piece.text for piece in system.assistant.writer.generator.stream(request))
    assert "40 euros" in text


@pytest.mark.parametrize("route", list(Route))
def test_answer_gives_the_new_fee_and_never_the_old(system: Twofold, route: Route) -> None:
    answer = asked(system, route)
    assert "75 euros" in answer.text
    assert "40" not in answer.text
    assert answer.citations[0].hit.passage.text.count("75 euros") == 1
