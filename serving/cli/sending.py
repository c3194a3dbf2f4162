"""Files and deletions to the server, batch by batch, and what came of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import httpx

from serving.cli.connection import CommandError, checked
from serving.cli.local_files import Key, LocalFile
from serving.cli.options import console
from serving.cli.sync import Item, Plan

BATCH_FILES = 16  # sent together: some seconds of work, after which the progress moves on
BATCH_BYTES = 256 << 10  # of several together; a larger file goes alone

Upload = tuple[LocalFile, bytes]


@dataclass(slots=True)
class Result:
    """What has been done so far."""

    sent: dict[str, int] = field(default_factory=lambda: {"added": 0, "updated": 0, "unchanged": 0})
    renamed: dict[str, str] = field(default_factory=dict)  # new source -> old one
    removed: list[str] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of everything, in the order in which they are told."""
        gone = {"renamed": len(self.renamed), "removed": len(self.removed)}
        return {**self.sent, **gone, "failed": len(self.failed)}

    @property
    def done(self) -> int:
        """Number of files and documents that are as they should be."""
        return sum(self.counts.values()) - len(self.failed)

    def json(self) -> dict[str, Any]:
        """For programs."""
        return {
            **self.counts,
            "failed": self.failed,
            "renamed_sources": self.renamed,
            "removed_sources": self.removed,
        }


class Sender:
    """Carries out a plan; `result` says at any time how far it came."""

    def __init__(self, client: httpx.Client, plan: Plan, *, groups: str) -> None:
        self.result = Result()
        self.result.sent["unchanged"] = plan.unchanged
        self._client = client
        self._plan = plan
        self._groups = groups
        self._handled = 0

    def run(self, *, quiet: bool) -> None:
        """Send, with a progress bar where people read; then delete what is gone.

        Raises:
            httpx.TransportError: the server ended.
        """
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as TimeLeft

        rate = TextColumn("{task.fields[rate]:.1f} documents/s")
        columns = (TextColumn("Ingesting"), BarColumn(), MofNCompleteColumn(), rate, TimeLeft())
        out, started = console(), time.monotonic()
        quiet = quiet or not out.is_terminal
        with Progress(*columns, console=out, transient=True, disable=quiet) as progress:
            task = progress.add_task("", total=len(self._plan.send), rate=0.0)
            for batch in self._batches():
                self._post(batch)
                rate_now = self._handled / (time.monotonic() - started)
                progress.update(task, completed=self._handled, rate=rate_now)
        for item in self._plan.removed:
            if self._delete(item):
                self.result.removed.append(item["source"])

    def _batches(self) -> Iterator[list[Upload]]:
        """Files with their contents; what cannot be read is noted."""
        batch: list[Upload] = []
        size = 0
        for file in self._plan.send:
            try:
                content = file.read()
            except OSError as error:
                self._fail(file, error)
                continue
            if batch and (len(batch) == BATCH_FILES or size + len(content) > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append((file, content))
            size += len(content)
        if batch:
            yield batch

    def _post(self, batch: Sequence[Upload]) -> None:
        """Send a batch, or when it is refused, each of its files alone: one may have spoilt it."""
        form = {
            "groups": self._groups,
            "collection": [file.collection for file, _ in batch],
            "source": [file.source for file, _ in batch],
            "origin": [file.origin for file, _ in batch],
        }
        uploads = [("file", (PurePosixPath(file.source).name, each)) for file, each in batch]
        try:
            reply = checked(self._client.post("/v1/documents", data=form, files=uploads))
        except CommandError as error:
            if len(batch) == 1:
                self._fail(batch[0][0], error)
            else:
                for upload in batch:
                    self._post([upload])
            return
        self._handled += len(batch)
        for outcome in self.result.sent:
            self.result.sent[outcome] += reply[outcome]
        self.result.failed += reply["failed"]
        answering = {(item["collection"], item["source"]) for item in reply["documents"]}
        self._end_old_names(answering, batch)

    def _end_old_names(self, answering: Set[Key], batch: Sequence[Upload]) -> None:
        """Delete the documents whose content answers under its new name now."""
        for file, _ in batch:
            old = self._plan.renamed.get(file.key)
            if old is not None and file.key in answering and self._delete(old):
                self.result.sent["added"] -= 1
                self.result.renamed[file.source] = old["source"]

    def _delete(self, item: Item) -> bool:
        response = self._client.delete(f"/v1/documents/{item['id']}")
        try:
            if response.status_code != httpx.codes.NOT_FOUND:  # somebody else was faster
                checked(response)
        except CommandError as error:
            self.result.failed.append({"source": item["source"], "reason": str(error)})
            return False
        return True

    def _fail(self, file: LocalFile, error: Exception) -> None:
        self._handled += 1
        entry: dict[str, Any] = {"source": file.source, "reason": str(error)}
        if self._plan.known is not None:
            entry["still_answers"] = file.key in self._plan.known
        self.result.failed.append(entry)
