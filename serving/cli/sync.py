"""What `twofold ingest --sync` has to do: the files below its paths, held against the documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from serving.cli.connection import CommandError
from serving.cli.local_files import Key, LocalFile, Root

Item = Mapping[str, Any]  # a document, as GET /v1/documents lists it


@dataclass(frozen=True, slots=True)
class Plan:
    """Files to send, and documents to delete when that is done.

    `renamed` names, by a new file's key, the document of the same content whose own file is gone:
    the new one takes over its vectors, not its id, since ids follow from sources. `known` are the
    documents there are, where that was asked for.
    """

    send: Sequence[LocalFile]
    unchanged: int = 0
    renamed: Mapping[Key, Item] = field(default_factory=dict)
    removed: Sequence[Item] = ()
    known: Set[Key] | None = None


def plan_sync(
    roots: Sequence[Root], files: Sequence[LocalFile], listed: Sequence[Item], *, groups: str
) -> Plan:
    """Compare by name and SHA-256.

    Deleted is only what this command would have put there itself, with a file that is gone; what
    cannot be read is there.

    Raises:
        CommandError: two files would be the same document.
    """
    known = {_key(item): item for item in listed}
    keys = _unique_keys(files)
    origins = {file.origin for file in files}
    gone = [
        item
        for item in listed
        if _key(item) not in keys
        and any(root.holds(item["origin"], item["collection"]) for root in roots)
        and not _stands_below(item["origin"], origins)
    ]
    by_content = {(item["collection"], item["sha256"]): item for item in gone}
    members = sorted({name.strip() for name in groups.split(",")} - {""}) or ["everyone"]
    send, renamed = [], {}
    for file in files:
        sha256, before = file.sha256(), known.get(file.key)
        if before is None:
            old = by_content.pop((file.collection, sha256), None)
            if old is not None:
                renamed[file.key] = old
        elif (before["sha256"], before["groups"], before["origin"]) == (
            sha256,
            members,
            file.origin,
        ):
            continue
        send.append(file)
    kept = {item["id"] for item in renamed.values()}
    return Plan(
        send=send,
        unchanged=len(files) - len(send),
        renamed=renamed,
        removed=[item for item in gone if item["id"] not in kept],
        known=known.keys(),
    )


def _key(item: Item) -> Key:
    return item["collection"], item["source"]


def _unique_keys(files: Sequence[LocalFile]) -> set[Key]:
    counts = Counter(file.key for file in files)
    for (collection, source), count in counts.items():
        if count > 1:
            raise CommandError(
                f"{count} files would be {source!r} in the collection {collection!r}; sync their "
                "folders one by one, each with a --collection of its own"
            )
    return set(counts)


def _stands_below(origin: str, origins: set[str]) -> bool:
    """Whether it, or an unreadable folder above it, is among the origins found."""
    return origin in origins or any(str(parent) in origins for parent in PurePath(origin).parents)
