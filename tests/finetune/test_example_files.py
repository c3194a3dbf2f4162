from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from finetune.errors import ExamplesError
from finetune.example_files import read_examples
from finetune.examples import Example, Message, Role

CHAT = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "May I bring a cat?"},
        {"role": "assistant", "content": "Yes."},
    ]
}
PAIR = {"prompt": "May I bring a cat?", "completion": "Yes."}
PLAIN = {"input": "May I bring a cat?", "output": "Yes."}
ASKED = Message(Role.USER, "May I bring a cat?")
ANSWERED = Message(Role.ASSISTANT, "Yes.")


def jsonl(folder: Path, *rows: object) -> Path:
    path = folder / "train.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def complaint(path: Path) -> str:
    with pytest.raises(ExamplesError) as caught:
        read_examples(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_jsonl_in_three_shapes_gives_the_same_conversation(tmp_path: Path) -> None:
    chat, pair, plain = read_examples(jsonl(tmp_path, CHAT, PAIR, PLAIN))
    assert chat == Example(1, (Message(Role.SYSTEM, "Be brief."), ASKED, ANSWERED))
    assert pair == Example(2, (ASKED, ANSWERED))
    assert plain == Example(3, (ASKED, ANSWERED))
    assert plain.answer == "Yes."


def test_prompt_and_completion_as_messages_are_joined(tmp_path: Path) -> None:
    messages = CHAT["messages"]
    row = {"prompt": messages[:2], "completion": messages[2:]}
    (example,) = read_examples(jsonl(tmp_path, row))
    assert [message.role for message in example.messages] == ["system", "user", "assistant"]


def test_jsonl_with_blank_lines_and_a_mark_keeps_line_numbers(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(b"\xef\xbb\xbf\n" + json.dumps(PAIR).encode() + b"\r\n\r\n")
    assert [example.line for example in read_examples(path)] == [2]


def test_columns_that_do_not_matter_are_allowed(tmp_path: Path) -> None:
    assert len(read_examples(jsonl(tmp_path, PAIR | {"id": 7, "context": ""}))) == 1


def test_gzip_json_csv_and_parquet_are_read(tmp_path: Path) -> None:
    packed = tmp_path / "a.jsonl.gz"
    packed.write_bytes(gzip.compress(json.dumps(PLAIN).encode()))
    listed = tmp_path / "a.json"
    listed.write_text(json.dumps([PLAIN]))
    table = tmp_path / "a.csv"
    table.write_text('input,output\n"May I bring a cat?",Yes.\n')
    columns = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([PLAIN]), columns)
    for path in (packed, listed, columns):
        assert read_examples(path) == [Example(1, (ASKED, ANSWERED))], path
    assert read_examples(table) == [Example(2, (ASKED, ANSWERED))]


def test_parquet_with_messages_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([CHAT, CHAT]), path)
    assert [len(example.messages) for example in read_examples(path)] == [3, 3]


def test_csv_with_messages_and_long_cells_names_the_first_line_of_a_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    cell = json.dumps(CHAT["messages"], indent=1).replace('"', '""')
    path.write_text(f'messages\n"{cell}"\nnonsense\n')
    lines = cell.count("\n") + 1
    assert f"line {lines + 2}: `messages` is not JSON" in complaint(path)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (["a"], "not an object"),
        ({"question": "a"}, "neither `messages`, `prompt` and `completion`"),
        (PAIR | PLAIN, "has both `prompt` and `input`"),
        ({"prompt": "a"}, "no `completion`"),
        ({"input": "a", "output": None}, "no `output`"),
        ({"input": "a", "output": "  "}, "`output` is empty"),
        ({"input": "a", "output": 7}, "`output` is a number, not text"),
        ({"input": "a", "output": "\ud800"}, "half a character"),
        (PLAIN | {"instruction": "Translate."}, "`instruction` would not be trained on"),
        ({"messages": []}, "`messages` is empty"),
        ({"messages": "hello"}, "`messages` is text, not a list"),
        ({"messages": ["hello"]}, "messages[0] is text, not an object"),
        ({"messages": CHAT["messages"][:2]}, "has no answer"),
        ({"messages": CHAT["messages"][:1]}, "has no answer"),
        ({"messages": CHAT["messages"][2:]}, "message 1 is the assistant's where the user's"),
        (
            {"messages": [*CHAT["messages"][:2], *CHAT["messages"][1:]]},
            "message 3 is the user's where the assistant's is due",
        ),
        ({"messages": [{"role": "human", "content": "a"}]}, "the role 'human'; allowed are system"),
        ({"messages": [{"role": ["user"], "content": "a"}]}, "the role ['user']; allowed are"),
        ({"messages": [{"role": "user"}]}, "messages[0].content is missing"),
        ({"messages": [{"role": "user", "content": "a", "weight": 0}]}, "messages[0] has weight"),
    ],
)
def test_row_that_is_no_example_is_told_with_its_reason(
    tmp_path: Path, row: object, reason: str
) -> None:
    message = complaint(jsonl(tmp_path, PAIR, row))
    assert "1 of 2 rows are bad" in message
    (told,) = [line for line in message.splitlines() if line.startswith("  line 2: ")]
    assert reason in told


def test_all_bad_rows_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    good = json.dumps(PAIR).encode()
    path.write_bytes(b"\n".join([good, b"{", b'{"input": "caf\xe9"}', b"[" * 100_000, good, b"7"]))
    message = complaint(path)
    assert "4 of 6 rows are bad" in message
    assert "line 2: not JSON" in message
    assert "line 3: not UTF-8 (byte 0xe9 at column 15)" in message
    assert "line 4: not JSON" in message
    assert "line 6: not an object" in message


def test_more_than_twenty_bad_rows_are_counted(tmp_path: Path) -> None:
    message = complaint(jsonl(tmp_path, *[{"input": "a"}] * 25))
    assert "line 20:" in message
    assert "line 21:" not in message
    assert message.endswith("and 5 more")


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.jsonl", b"", "no examples"),
        ("a.jsonl", b"\n \n", "no examples"),
        ("a.json", b"[]", "no examples"),
        ("a.csv", b"", "no examples"),
        ("a.csv", b"input,output\n", "no examples"),
        ("a.txt", b"hello", "unknown type of file; allowed are .jsonl, .jsonl.gz, .json, .csv"),
        ("a.json", b"{}", "not a list"),
        ("a.json", b"[", "not JSON"),
        ("a.json", b'[\n"\xff"]', "line 2: not UTF-8 (byte 0xff at column 2)"),
        ("a.csv", b"input,output\na,b\n\xe9,b\n", "line 3: not UTF-8"),
        ("a.csv", b"input,reply\na,b\n", "no column `output`; it has input, reply"),
        ("a.csv", b"input,input,output\na,b,c\n", "more than one column is named `input`"),
        (
            "a.csv",
            b'messages\n"[{""role"": ""user"", ""role"": ""system""}]"\n',
            "line 2: `messages`: the key `role` stands twice in an object: 'user' and 'system'",
        ),
        (
            "a.json",
            b'[{"input": "a", "input": "b", "output": "c"}]',
            "the key `input` stands twice in an object: 'a' and 'b'; keep one of them",
        ),
        (
            "a.jsonl",
            b'{"input": "a", "output": "c"}\n{"input": "a", "input": "b", "output": "c"}',
            "line 2: the key `input` stands twice in an object: 'a' and 'b'",
        ),
        ("a.csv", b"input;output\na;b\n", "the columns: neither"),
        ("a.csv", b"input,output\na,b,c\n", "line 2: 3 cells under 2 column names"),
        ("a.csv", b'input,output\na,b\nc,"d\n', "line 3: not CSV"),
        ("a.csv", b"input,output\na,\n", "line 2: `output` is empty"),
        ("a.parquet", b"PAR1", "not a Parquet file"),
        ("a.jsonl.gz", b"{}", "cannot be read"),
        ("a.jsonl.gz", gzip.compress(b"{}" * 99, mtime=0)[:-9], "the compressed file is damaged"),
    ],
)
def test_file_that_cannot_be_read_says_why(
    tmp_path: Path, name: str, data: bytes, reason: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert reason in complaint(path)


def test_parquet_without_a_column_names_it(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{"prompt": "a"}]), path)
    assert "no column `completion`" in complaint(path)


def test_parquet_with_a_column_twice_names_it(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    columns = [pyarrow.array([text]) for text in ("a", "b", "c")]
    table = pyarrow.Table.from_arrays(columns, names=["input", "input", "output"])
    pyarrow.parquet.write_table(table, path)
    assert "more than one column is named `input`" in complaint(path)


def test_parquet_with_a_time_out_of_range_names_the_row_and_column(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    times = pyarrow.array([0, 2**62], pyarrow.timestamp("us"))
    table = pyarrow.table({"input": ["a", "b"], "output": ["c", "d"], "asked_at": times})
    pyarrow.parquet.write_table(table, path)
    message = complaint(path)
    assert "1 of 2 rows are bad" in message
    assert "line 2: `asked_at` holds a value that cannot be read" in message


def test_compressed_file_named_in_capitals_is_read(tmp_path: Path) -> None:
    path = tmp_path / "A.JSONL.GZ"
    path.write_bytes(gzip.compress(json.dumps(PLAIN).encode()))
    assert read_examples(path) == [Example(1, (ASKED, ANSWERED))]


def test_missing_file_is_told(tmp_path: Path) -> None:
    assert "No such file" in complaint(tmp_path / "none.jsonl")
