"""Sets in BEIR layout: read in both shapes, sampled the same way every time, errors with a line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from eval.beir import Dataset, Text, read_dataset
from eval.errors import DatasetError
from tests.eval.beir_set import CORPUS, QUERIES, json_lines, qrels, write_set


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_set(tmp_path / "tiny")


@pytest.mark.parametrize("packed", [False, True])
def test_set_is_read_as_shipped_and_packed(tmp_path: Path, *, packed: bool) -> None:
    found = read_dataset(write_set(tmp_path / "tiny", packed=packed))

    assert found.name == "tiny"
    assert dict(found.documents) == {name: Text("", text) for name, text in CORPUS.items()}
    assert found.queries["stem"] == "the loud"
    assert found.grades["only dense"] == {"tail": 1, "cats": 0}
    assert found.judged == 5


def test_query_without_a_relevant_document_is_left_out(folder: Path) -> None:
    found = read_dataset(folder)

    assert "unjudged" in QUERIES
    assert found.queries.keys() == found.grades.keys() == QUERIES.keys() - {"unjudged"}


def test_name_is_that_of_the_folder_even_from_inside(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)

    assert read_dataset(Path()).name == "tiny"


def test_qrels_without_a_header_lose_no_line(folder: Path) -> None:
    (folder / "qrels" / "test.tsv").write_text("same\tdogs\t2\r\n\r\nstem\tdogs\t1\r\n")

    assert read_dataset(folder).grades == {"same": {"dogs": 2}, "stem": {"dogs": 1}}


def test_grade_below_zero_is_not_relevant(folder: Path) -> None:
    (folder / "qrels" / "test.tsv").write_text(qrels([("same", "dogs", 1), ("same", "cats", -1)]))

    assert read_dataset(folder).grades == {"same": {"dogs": 1, "cats": 0}}


def test_number_as_id_and_missing_or_null_title_are_taken(folder: Path) -> None:
    (folder / "corpus.jsonl").write_text(
        '\ufeff{"_id": 7, "text": "a"}\n\n{"_id": "8", "title": null, "text": "b"}\n'
    )
    (folder / "qrels" / "test.tsv").write_text(qrels([("same", "7", 1)]))

    assert read_dataset(folder).documents == {"7": Text("", "a"), "8": Text("", "b")}


# A sample.


def many(size: int = 50, *, reverse: bool = False) -> Dataset:
    names = sorted((f"q{number}" for number in range(size)), reverse=reverse)
    return Dataset(
        "many",
        {"d": Text("", "d")},
        {name: name for name in names},
        {name: {"d": 1} for name in names},
        size,
    )


def test_sample_is_the_same_for_a_seed_however_the_file_is_sorted() -> None:
    first, again = many().sample(10, seed=3), many(reverse=True).sample(10, seed=3)

    assert list(first.queries) == list(again.queries) == list(first.grades)
    assert len(first.queries) == 10
    assert (first.judged, len(first.documents)) == (50, 1)


def test_sample_differs_for_another_seed() -> None:
    assert many().sample(10, seed=3).queries.keys() != many().sample(10, seed=4).queries.keys()


def test_sample_of_more_than_there_are_is_all() -> None:
    assert many(5).sample(10, seed=3).queries.keys() == many(5).queries.keys()


# The corpus's hash.


def test_corpus_hash_sees_every_field(folder: Path) -> None:
    hashes = {read_dataset(folder).corpus_sha256()}
    for changed in (
        {**CORPUS, "cats": "cats purr"},
        {name.replace("empty", "blank"): text for name, text in CORPUS.items()},
        dict(reversed(CORPUS.items())),
    ):
        (folder / "corpus.jsonl").write_text(json_lines(changed))
        hashes.add(read_dataset(folder).corpus_sha256())
    (folder / "corpus.jsonl").write_text(json_lines(CORPUS, title="Animals"))
    hashes.add(read_dataset(folder).corpus_sha256())

    assert len(hashes) == 5


def test_corpus_hash_is_that_of_the_content_not_of_the_files(tmp_path: Path) -> None:
    plain, packed = (
        read_dataset(write_set(tmp_path / name, packed=name == "packed"))
        for name in ("plain", "packed")
    )

    assert plain.corpus_sha256() == packed.corpus_sha256()
    assert plain.sample(1, seed=1).corpus_sha256() == plain.corpus_sha256()


# What is wrong is named with its file and line.


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nowhere: no such folder"):
        read_dataset(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("corpus.jsonl", r"tiny: holds no corpus\.jsonl and no corpus\.jsonl\.gz"),
        ("queries.jsonl", r"tiny: holds no queries\.jsonl and no"),
        ("qrels/test.tsv", r"tiny: holds no qrels\.tsv and no qrels/test\.tsv"),
    ],
)
def test_missing_file_is_named(folder: Path, name: str, message: str) -> None:
    (folder / name).unlink()

    with pytest.raises(DatasetError, match=message):
        read_dataset(folder)


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl"])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{not json", "Expecting property name"),
        (b"[]", r"\[\] is no object"),
        (b'{"text": "a"}', "_id is missing"),
        (b'{"_id": "a"}', "text is missing"),
        (b'{"_id": "a", "text": 5}', "title and text must be strings"),
        (b'{"_id": ["a"], "text": "a"}', "_id must be a string"),
        (b'{"_id": "one", "text": "again"}', "_id 'one' stands twice"),
        (b'{"_id": "a", "text": "\xff"}', "not UTF-8"),
    ],
)
def test_broken_line_is_named(folder: Path, name: str, line: bytes, message: str) -> None:
    (folder / name).write_bytes(b'{"_id": "one", "text": "a"}\n\n' + line + b"\n")

    with pytest.raises(DatasetError, match=rf"{name}:3: {message}"):
        read_dataset(folder)


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b'{"_id": "a"' * 99, mtime=0)[:-9]])
def test_damaged_archive_is_named(folder: Path, content: bytes) -> None:
    (folder / "corpus.jsonl").unlink()
    (folder / "corpus.jsonl.gz").write_bytes(content)

    with pytest.raises(DatasetError, match=r"corpus\.jsonl\.gz:1: "):
        read_dataset(folder)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("same\tghost\t1", r"'ghost' is not in .*corpus\.jsonl$"),
        ("ghost\tdogs\t1", r"'ghost' is not in .*queries\.jsonl$"),
        ("same dogs 1", "1 fields; each line is query-id, corpus-id and a whole number"),
        ("same\t0\tdogs\t1", "4 fields; each line is"),
        ("same\tdogs\thigh", "invalid literal .*'high'; each line is"),
        ("same\tdogs\t0.5", "invalid literal .*'0.5'; each line is"),
    ],
)
def test_broken_judgement_is_named(folder: Path, line: str, message: str) -> None:
    (folder / "qrels" / "test.tsv").write_text(qrels([("same", "dogs", 1)]) + line + "\n")

    with pytest.raises(DatasetError, match=rf"test\.tsv:3: {message}"):
        read_dataset(folder)


def test_first_line_that_is_no_header_is_told(folder: Path) -> None:
    (folder / "qrels" / "test.tsv").write_text("same,dogs,1\n")

    with pytest.raises(DatasetError, match=r"test\.tsv:1: 1 fields"):
        read_dataset(folder)


@pytest.mark.parametrize("rows", [[], [("same", "dogs", 0)]])
def test_set_in_which_nothing_is_relevant_is_told(
    folder: Path, rows: list[tuple[str, str, int]]
) -> None:
    (folder / "qrels" / "test.tsv").write_text(qrels(rows))

    with pytest.raises(DatasetError, match="no query has a document with a grade above 0"):
        read_dataset(folder)
