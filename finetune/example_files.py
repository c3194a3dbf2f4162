"""Files of examples: every bad row is found before anything is trained, and told at once."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

from finetune.errors import ExamplesError
from finetune.example_rows import RowError, example_of, shape_of
from finetune.examples import Example

if TYPE_CHECKING:
    import pyarrow

SHOWN = 20  # bad rows in the message; the others are counted


@dataclass(frozen=True, slots=True)
class _Row:
    """What stands on a line, or why nothing can be read there."""

    line: int
    value: object
    reason: str | None = None


def read_examples(path: Path) -> list[Example]:
    """All examples of a .jsonl, .jsonl.gz, .json, .csv or .parquet file.

    A row holds `messages`, `prompt` and `completion`, or `input` and `output`. `Example.line` is
    the line in .jsonl and .csv, and the number of the row, from 1, in .json and .parquet.

    Raises:
        ExamplesError: the file cannot be read, is empty, or has bad rows (each with its reason).
    """
    read = _reader(path)
    try:
        rows = list(read(path))
    except OSError as error:
        raise ExamplesError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (EOFError, zlib.error) as error:
        raise ExamplesError(f"{path}: the compressed file is damaged: {error}") from error
    if not rows:
        raise ExamplesError(f"{path}: no examples; give at least one row with an answer")
    examples: list[Example] = []
    bad: list[str] = []
    for row in rows:
        try:
            if row.reason:
                raise RowError(row.reason)
            examples.append(example_of(row.value, row.line))
        except RowError as error:
            bad.append(f"line {row.line}: {error}")
    if bad:
        raise ExamplesError(_listing(f"{path}: {len(bad)} of {len(rows)} rows are bad", bad))
    return examples


def _reader(path: Path) -> Callable[[Path], Iterable[_Row]]:
    readers: dict[str, Callable[[Path], Iterable[_Row]]] = {
        ".jsonl": _jsonl,
        ".jsonl.gz": _jsonl,
        ".json": _json,
        ".csv": _csv,
        ".parquet": _parquet,
    }
    for suffix, reader in readers.items():
        if path.name.lower().endswith(suffix):
            return reader
    raise ExamplesError(f"{path}: unknown type of file; allowed are {', '.join(readers)}")


def _listing(title: str, problems: list[str]) -> str:
    more = len(problems) - SHOWN
    tail = [f"and {more:,} more"] if more > 0 else []
    return "\n  ".join([title, *problems[:SHOWN], *tail])


def _jsonl(path: Path) -> Iterator[_Row]:
    data = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
    for line, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not raw.strip():
            continue
        try:
            yield _Row(line, _parsed(raw.decode("utf-8")))
        except UnicodeDecodeError as error:
            yield _Row(line, None, _not_utf8(error))
        except RowError as error:
            yield _Row(line, None, str(error))
        except (ValueError, RecursionError) as error:
            yield _Row(line, None, f"not JSON: {error}")


def _json(path: Path) -> Iterator[_Row]:
    try:
        rows = _parsed(_decoded(path))
    except RowError as error:
        raise ExamplesError(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ExamplesError(f"{path}: not JSON: {error}") from error
    if not isinstance(rows, list):
        raise ExamplesError(f"{path}: not a list; a .json file holds one list of examples")
    for line, row in enumerate(rows, start=1):
        yield _Row(line, row)


def _csv(path: Path) -> Iterator[_Row]:
    reader = csv.reader(StringIO(_decoded(path), newline=""), strict=True)
    start = 1
    try:
        header = next(reader, [])
        if header:
            _check_columns(path, header)
        start = reader.line_num + 1
        for cells in reader:
            if cells:
                yield _csv_row(start, header, cells)
            start = reader.line_num + 1
    except csv.Error as error:
        yield _Row(start, None, f"not CSV, and what follows was not read: {error}")


def _csv_row(line: int, header: list[str], cells: list[str]) -> _Row:
    if len(cells) != len(header):
        return _Row(line, None, f"{len(cells)} cells under {len(header)} column names")
    row: dict[str, object] = dict(zip(header, cells, strict=True))
    if isinstance(row.get("messages"), str):
        try:
            row["messages"] = _parsed(str(row["messages"]))
        except RowError as error:
            return _Row(line, None, f"`messages`: {error}")
        except (ValueError, RecursionError) as error:
            return _Row(line, None, f"`messages` is not JSON: {error}")
    return _Row(line, row)


def _parquet(path: Path) -> Iterator[_Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        _check_columns(path, pyarrow.parquet.read_schema(path).names)
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise ExamplesError(f"{path}: not a Parquet file that can be read: {error}") from error
    try:
        rows = table.to_pylist()
    except (OverflowError, ValueError):  # of one value: the rows one by one tell which
        yield from (_parquet_row(table, line) for line in range(1, table.num_rows + 1))
        return
    for line, row in enumerate(rows, start=1):
        yield _Row(line, row)


def _parquet_row(table: pyarrow.Table, line: int) -> _Row:
    row: dict[str, object] = {}
    for name in table.column_names:
        try:
            row[name] = table.column(name)[line - 1].as_py()
        except (OverflowError, ValueError) as error:
            return _Row(line, None, f"`{name}` holds a value that cannot be read: {error}")
    return _Row(line, row)


def _check_columns(path: Path, names: list[str]) -> None:
    """Told once for the file, not for each of its rows."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ExamplesError(
            f"{path}: more than one column is named `{twice[0]}`; keep one, or rename the others"
        )
    try:
        missing = [name for name in shape_of(names) if name not in names]
    except RowError as error:
        raise ExamplesError(f"{path}: the columns: {error}") from error
    if missing:
        raise ExamplesError(f"{path}: no column `{missing[0]}`; it has {', '.join(names)}")


def _parsed(text: str) -> object:
    """JSON -> its value.

    Raises:
        RowError: an object has a key twice.
    """
    parsed: object = json.loads(text, object_pairs_hook=_object)
    return parsed


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Where a key stands twice, `json` would keep the last value without a word."""
    read: dict[str, object] = {}
    for key, value in pairs:
        if key in read:
            values = f"{_short(read[key])} and {_short(value)}"
            raise RowError(f"the key `{key}` stands twice in an object: {values}; keep one of them")
        read[key] = value
    return read


def _short(value: object) -> str:
    return shorten(repr(value), 40, placeholder="…")


def _decoded(path: Path) -> str:
    data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    bad: list[str] = []
    for line, raw in enumerate(data.split(b"\n"), start=1):
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError as error:
            bad.append(f"line {line}: {_not_utf8(error)}")
    if bad:
        raise ExamplesError(_listing(f"{path}: {len(bad)} lines are bad", bad))
    return data.decode("utf-8")


def _not_utf8(error: UnicodeDecodeError) -> str:
    wrong = error.object[error.start]
    return f"not UTF-8 (byte 0x{wrong:02x} at column {error.start + 1}); save the file as UTF-8"
