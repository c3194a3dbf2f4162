"""Mined groups: the right passage is the positive one, and no negative holds the answer."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from finetune.hard_negatives import from_help_centres, from_retrieval_set
from finetune.retrieval_data import WRITTEN, Group, judged, read_groups, write_groups
from retrieval.embedding import HashEmbedder
from starter.bundle import WrittenPassage


def written(organisation: str, heading: str, text: str) -> WrittenPassage:
    answered = f"What does {organisation} say of {heading}?"
    return WrittenPassage(
        organisation, "Help", heading, text, (answered,), ((1,),), (f"Who pays for {heading}?",)
    )


ACME = [
    written("Acme", "bags", "A bag may weigh 8 kg."),
    written("Acme", "dogs", "A dog travels in the hold."),
    written("Acme", "seats", "A seat costs 12 euros."),
]
GLOBEX = [written("Globex", "bags", "Globex takes bags of 20 kg.")]

DOCUMENTS = {
    "sea": ("Sea", "The ferry to the island leaves at noon. Bring a coat, it is windy."),
    "rail": ("Rail", "The train to the coast leaves at nine. The ferry waits for it."),
    "road": ("Road", "The coach leaves at noon from the market."),
}
QUESTIONS = {
    "q1": ("When does the ferry leave?", ["noon"], "sea"),
    "q2": ("Why?", ["never"], "sea"),
}


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    rows: dict[str, list[dict[str, object]]] = {
        "corpus": [
            {"_id": name, "title": title, "text": text} for name, (title, text) in DOCUMENTS.items()
        ],
        "queries": [
            {"_id": name, "text": text, "answers": answers}
            for name, (text, answers, _) in QUESTIONS.items()
        ],
    }
    for name, items in rows.items():
        with gzip.open(folder / f"{name}.jsonl.gz", "wt") as file:
            file.writelines(json.dumps(item) + "\n" for item in items)
    judgements = [f"{name}\t{gold}\t1" for name, (_, _, gold) in QUESTIONS.items()]
    (folder / "qrels.tsv").write_text("\n".join(["q\td\tscore", *judgements, "q1\trail\t0"]) + "\n")
    return folder


def test_question_of_a_help_centre_has_its_passage_and_only_neighbours_of_its_own() -> None:
    groups = list(from_help_centres([ACME, GLOBEX], HashEmbedder(), WRITTEN))
    bags = next(group for group in groups if group.question == ACME[0].questions[0])

    assert bags.source == WRITTEN
    assert bags.positive is not None
    assert "8 kg" in bags.positive
    assert len(bags.negatives) == 2
    assert not any("Globex" in text or "8 kg" in text for text in bags.negatives)


def test_question_without_an_answer_has_its_near_miss_first() -> None:
    groups = list(from_help_centres([ACME, GLOBEX], HashEmbedder(), WRITTEN))
    unanswered = next(group for group in groups if group.question == ACME[1].unanswered[0])

    assert unanswered.positive is None
    assert "hold" in unanswered.negatives[0]
    assert len(unanswered.negatives) == 3


def test_every_question_of_the_help_centres_becomes_a_group() -> None:
    groups = list(from_help_centres([ACME, GLOBEX], HashEmbedder(), WRITTEN))

    assert len(groups) == 2 * len(ACME + GLOBEX)


def test_judged_reads_documents_questions_and_positive_judgements(beir: Path) -> None:
    documents, questions = judged(beir)

    assert documents == DOCUMENTS
    assert [(q.text, q.document, q.answers) for q in questions] == [
        (text, gold, tuple(answers)) for text, answers, gold in QUESTIONS.values()
    ]


def test_negatives_of_a_retrieval_set_do_not_hold_the_answer(beir: Path) -> None:
    (group,) = from_retrieval_set(beir, HashEmbedder())  # the other question's answer is nowhere

    assert group.question == "When does the ferry leave?"
    assert group.positive is not None
    assert "windy" in group.positive
    assert len(group.negatives) == 1  # the coach leaves at noon too: it may be right
    assert "train" in group.negatives[0]


def test_groups_survive_the_disk(tmp_path: Path) -> None:
    groups = [
        Group("a", "Größe?", "8 kg", ("x", "y")),
        Group("b", "line\nbreak", None, ()),
    ]
    write_groups(tmp_path / "deep" / "groups.jsonl", groups)

    assert read_groups(tmp_path / "deep" / "groups.jsonl") == groups
