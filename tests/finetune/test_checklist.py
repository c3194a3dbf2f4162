from __future__ import annotations

from pathlib import Path

import pytest

from finetune.checklist import AnsweredBy, Reply, checklist, questions, read_answers
from finetune.errors import ConfigurationError

NO = Reply(yes=False, because="prices")
YES = Reply(yes=True, because="nothing found")
MINE = Reply(yes=True, because="I say so")


def test_questions_are_ten_with_what_a_good_answer_holds() -> None:
    read = questions()
    assert len(read) == 10
    assert all(each["question"].endswith("?") and each["good"] for each in read.values())
    assert all(set(each) == {"question", "good"} for each in read.values())


@pytest.mark.parametrize(
    ("data", "people", "who", "reply"),
    [
        (None, None, AnsweredBy.NOBODY, None),
        (YES, None, AnsweredBy.DATA, YES),
        (None, MINE, AnsweredBy.YOU, MINE),
        (YES, MINE, AnsweredBy.YOU, MINE),
        (NO, MINE, AnsweredBy.DATA, NO),
    ],
)
def test_item_is_answered_by_people_unless_the_data_says_no(
    data: Reply | None, people: Reply | None, who: AnsweredBy, reply: Reply | None
) -> None:
    by_data = {"knowledge_static": data} if data else {}
    by_people = {"knowledge_static": people} if people else {}
    (item,) = [each for each in checklist(by_data, by_people) if each.key == "knowledge_static"]
    assert (item.answered_by, item.reply) == (who, reply)


def test_answers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "answers.toml"
    path.write_text('latency_critical = { yes = false, because = "Letters, not talk." }\n')
    assert read_answers(path) == {"latency_critical": Reply(False, "Letters, not talk.")}


def test_answers_with_several_mistakes_tell_all(tmp_path: Path) -> None:
    path = tmp_path / "answers.toml"
    path.write_text(
        'latency = true\nbehaviour = "yes"\n'
        'time_for_runs = { yes = true, because = " " }\n'
        'base_model_plan = { yes = true, because = "a", by = "me" }\n'
    )
    with pytest.raises(ConfigurationError) as caught:
        read_answers(path)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{path}:"
    assert lines[1].startswith("  latency: no such question; there are enough_examples, ")
    assert [line.split(":")[0] for line in lines[2:]] == [
        "  behaviour",
        "  time_for_runs",
        "  base_model_plan",
    ]


@pytest.mark.parametrize(
    ("data", "reason"), [(None, "cannot be read"), (b"a =", "not TOML"), (b"\xff", "not TOML")]
)
def test_answers_that_cannot_be_read_say_why(
    tmp_path: Path, data: bytes | None, reason: str
) -> None:
    path = tmp_path / "answers.toml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ConfigurationError, match=reason):
        read_answers(path)
