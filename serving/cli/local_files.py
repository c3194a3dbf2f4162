"""What the paths of a command line hold: files of folders, lines of bundles."""

from __future__ import annotations

import gzip
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from retrieval.documents import content_sha256
from retrieval.ingest import DEFAULT_COLLECTION
from serving.cli.connection import CommandError

BUNDLES = (".jsonl", ".jsonl.gz")

Key = tuple[str, str]  # collection and source: what makes a document the same one


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file, or a line of a bundle, which has its content already.

    `origin` says where it lies, apart from every other file of this machine. With an `error` it
    cannot be read, nor can what lies below it.
    """

    source: str
    collection: str
    origin: str
    content: bytes | None = None
    error: OSError | None = None

    @property
    def key(self) -> Key:
        """Names the document."""
        return self.collection, self.source

    def read(self) -> bytes:
        """The bytes to send. Raises OSError."""
        if self.error is not None:
            raise self.error
        return Path(self.origin).read_bytes() if self.content is None else self.content

    def sha256(self) -> str | None:
        """Of the bytes; None when they cannot be read."""
        try:
            return content_sha256(self.read())
        except OSError:
            return None


@dataclass(frozen=True, slots=True)
class Root:
    """A path of the command line; `collection` is the one asked for, None to follow the folders."""

    path: Path
    collection: str | None = None

    @property
    def is_bundle(self) -> bool:
        """Whether its lines are the documents."""
        return self.path.name.endswith(BUNDLES) and not self.path.is_dir()

    @property
    def is_missing(self) -> bool:
        """Whether there is nothing at the path, rather than something that cannot be read.

        Raises:
            CommandError: nobody can tell.
        """
        try:
            self.path.stat()
        except FileNotFoundError:
            return True
        except OSError as error:
            raise CommandError(f"{str(self.path)!r} cannot be read: {error}") from error
        return False

    @property
    def origin(self) -> str:
        """What the origins of its files begin with. Links are not followed: they may be moved."""
        return f"bundle:{os.path.abspath(self.path)}" if self.is_bundle else _absolute(self.path)

    def holds(self, origin: str, collection: str) -> bool:
        """Whether this command would have put the file at the origin into the collection."""
        below = origin.removeprefix(self.origin)
        if below == origin or (below and not below.startswith("/") and self.origin != "/"):
            return False
        return collection == self._collection(PurePath(below.lstrip("/")))

    def files(self) -> Iterator[LocalFile]:
        """In the order of their names; hidden ones are left out.

        Raises:
            CommandError: the path does not exist, or a bundle's line is no document.
        """
        if self.is_bundle:
            yield from self._lines()
        elif self.path.is_dir():
            yield from sorted(self._below(), key=lambda file: PurePath(file.origin))
        elif self.path.is_file():
            yield self._file(self.path, self.path.name)
        else:
            raise CommandError(f"{str(self.path)!r} is neither a file nor a folder")

    def _below(self) -> Iterator[LocalFile]:
        errors: list[OSError] = []
        for folder, folders, names in os.walk(self.path, onerror=errors.append):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for path in (Path(folder, name) for name in names if not name.startswith(".")):
                try:
                    if not stat.S_ISREG(path.stat().st_mode):
                        continue
                except OSError as error:
                    errors.append(error)
                else:
                    yield self._file(path, path.relative_to(self.path).as_posix())
        for unread in errors:
            path = Path(unread.filename)
            yield self._file(path, path.relative_to(self.path).as_posix(), error=unread)

    def _file(self, path: Path, source: str, *, error: OSError | None = None) -> LocalFile:
        origin = _absolute(path)
        if _shown(origin) != origin:
            origin, source = _shown(origin), _shown(source)
            error = OSError(f"the name of {origin!r} is no UTF-8; rename it")
        source = source.replace("\\", "/")  # as the server has it
        return LocalFile(source, self._collection(PurePath(source)), origin, error=error)

    def _lines(self) -> Iterator[LocalFile]:
        opener = gzip.open if self.path.suffix == ".gz" else open
        number = 0
        try:
            with opener(self.path, "rt", encoding="utf-8") as lines:
                for line in lines:
                    number += 1
                    row = json.loads(line)
                    source = PurePosixPath(row["path"].replace("\\", "/")).as_posix()
                    source.encode()  # half a surrogate pair is no name
                    origin, content = f"{self.origin}/{source}", row["text"].encode()
                    yield LocalFile(source, self._collection(PurePath(source)), origin, content)
        except FileNotFoundError as error:
            raise CommandError(f"{str(self.path)!r} is neither a file nor a folder") from error
        except (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError) as error:
            raise CommandError(
                f"{self.path}:{number}: not a document ({error!r}); each line is an object with "
                "path and text"
            ) from error

    def _collection(self, below: PurePath) -> str:
        if self.collection:
            return self.collection
        folders = () if self.is_bundle else below.parts[:-1]
        return folders[0] if folders else DEFAULT_COLLECTION


def _absolute(path: Path) -> str:
    return os.path.abspath(path)


def _shown(name: str) -> str:
    """A file name that is no text, with marks where it is not."""
    return os.fsencode(name).decode(errors="replace")
