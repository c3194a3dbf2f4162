"""What the starter language model learns from: answers that stand in the passages, and refusals."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from finetune.errors import ExamplesError
from finetune.examples import Example, Role
from finetune.starter_model import grounded, pages, published, slots
from retrieval.documents import Passage, ScoredPassage
from serving.answers import NOT_IN_DOCUMENTS
from serving.prompts import _passage_block
from starter import bundle
from tests.finetune.starter_model.starter_data import write_data

PASSAGE = re.compile(r'<passage number="(\d+)" from="[^"]*">\n(.*?)\n</passage>', re.DOTALL)


def passages(example: Example) -> dict[str, str]:
    return dict(PASSAGE.findall(example.messages[0].content))


@pytest.mark.parametrize("long", [False, True])
def test_invented_answer_states_only_values_of_the_passage_it_cites(long: bool) -> None:
    rng = random.Random(1)
    for _ in range(300):
        example = grounded.example(rng, long=long)
        assert [message.role for message in example.messages] == list(Role)
        if example.answer == NOT_IN_DOCUMENTS:
            continue
        for said, number in re.findall(r"(.*?) \[(\d+)\](?: |$)", example.answer):
            cited = passages(example)[number]
            for value in re.findall(r"\d[\d.,:]*\d|\d", said):
                assert value in cited


def test_about_a_seventh_of_invented_questions_have_no_answer() -> None:
    rng = random.Random(2)
    absent = [
        example
        for example in (grounded.example(rng, long=True) for _ in range(400))
        if example.answer == NOT_IN_DOCUMENTS
    ]
    assert 0.10 < len(absent) / 400 < 0.21


def test_the_passage_that_answers_stands_first_more_often_than_not() -> None:
    rng = random.Random(7)
    places = [grounded.place(5, rng) for _ in range(400)]
    assert set(places) == set(range(5))
    assert 0.45 < places.count(0) / 400 < 0.65


def test_plural_of_a_thing_is_spelled_right() -> None:
    assert [slots.plural(noun) for noun in ("library", "key", "class", "box", "ticket")] == [
        "libraries",
        "keys",
        "classes",
        "boxes",
        "tickets",
    ]


def test_changed_fact_is_answered_from_the_notice() -> None:
    rng = random.Random(3)
    family = slots.families()[0]
    old = pages.drawn(family, rng)
    notice = pages.changed(old, "Velora Parcels", rng)
    assert notice.facts[0].thing == old.thing
    assert notice.facts[0].values["amount"] in notice.text


def test_conversations_repeat_with_their_seed() -> None:
    first, second = (grounded.example(random.Random(4), long=True) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("family", slots.families(), ids=lambda family: family["heading"])
def test_every_wording_of_a_family_can_be_filled(family: dict[str, list[str]]) -> None:
    fact = pages.drawn(family, random.Random(5))
    for wording in (*family["says"], *family["asks"]):
        assert "{" not in fact.said(wording)
    assert len(family["columns"]) in (2, len(family["slots"]) + 1)


def test_prompt_has_the_form_that_serving_gives_it() -> None:
    text = "A key costs €5."
    passage = Passage("p", "d", 1, 0, "Fees", ("Keys",), text, 0, len(text))
    hit = ScoredPassage(passage, "fees.md", "policies", score=1.0, fused_score=1.0)
    assert grounded.numbered([("Fees > Keys", text)]) == _passage_block(1, hit)
    assert grounded.NOT_IN_DOCUMENTS == NOT_IN_DOCUMENTS


def test_meridians_documents_are_not_among_what_is_invented() -> None:
    rng = random.Random(6)
    told = " ".join(
        message.content for _ in range(200) for message in grounded.example(rng, long=True).messages
    )
    assert "Meridian" not in told
    asked = {question.question for question in bundle.read_questions()}
    assert not asked & set(told.splitlines())


def test_published_answer_is_the_sentence_of_the_passage_it_cites(tmp_path: Path) -> None:
    pool = published.quoted(write_data(tmp_path))
    rng = random.Random(7)
    for _ in range(100):
        example = published.grounded(pool, rng, long=True)
        if example.answer == NOT_IN_DOCUMENTS:
            town = re.findall(r"does (.*) open", example.messages[1].content)[0]
            assert town not in example.messages[0].content
        else:
            sentence, number = example.answer.removesuffix("]").rsplit(" [", 1)
            assert sentence in passages(example)[number]


def test_held_out_documents_train_nothing(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    trained = {each.title for each in published.quoted(data)}
    held_out = {each.title for each in published.quoted(data, held_out=True)}
    assert held_out
    assert not trained & held_out
    assert len(trained | held_out) == 80


def test_pages_that_are_measured_on_train_nothing(tmp_path: Path) -> None:
    texts = published.plain_texts(write_data(tmp_path))
    assert any("Other" in text for text in texts)
    assert "Unseen." not in texts


def test_free_texts_are_short_and_without_marks(tmp_path: Path) -> None:
    texts = published.free_texts(write_data(tmp_path))
    assert len(texts) == 11  # those of common_gen and the expert's; no classification
    assert texts[-1].answer == "Because it rains. So it is."


def test_missing_set_is_named_with_what_the_folder_must_hold(tmp_path: Path) -> None:
    with pytest.raises(ExamplesError, match=r"no set 'squadshifts_new_wiki'.*retrieval/"):
        published.quoted(tmp_path)
