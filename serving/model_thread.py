"""The one thread that touches the model, and the queue before it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue

from finetune.manifest import AdapterVersion
from serving.answers import Sampling, Usage
from serving.decoding import Decoder, Row
from serving.errors import GeneratorBusyError, GeneratorError
from serving.generation import Piece
from serving.loaded_adapters import LoadedAdapters
from serving.sampling import Sampler
from serving.text_stream import TextStream

READ_TOKENS = 2048  # of prompts in one go, or one longer prompt: then those who write go on

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Job:
    """One answer: what is asked for, and the pieces that its reader takes from `events`."""

    prompt: Sequence[int]
    sampling: Sampling
    text: TextStream
    limit: int  # tokens to write at most
    version: AdapterVersion | None
    cancelled: threading.Event
    left: threading.Event = field(default_factory=threading.Event)  # its reader is gone
    events: SimpleQueue[Piece | GeneratorError] = field(default_factory=SimpleQueue)
    row: Row | None = None
    written: int = 0  # tokens
    timings_ms: dict[str, float] = field(default_factory=dict)
    since: float = field(default_factory=time.perf_counter)

    @property
    def label(self) -> str | None:
        """Of its adapter."""
        return self.version.label if self.version else None

    @property
    def unwanted(self) -> bool:
        """Nobody waits for the rest."""
        return self.cancelled.is_set() or self.left.is_set()

    def pieces(self) -> Iterator[Piece]:
        """As they come, up to the one with the usage. Raises GeneratorError."""
        while True:
            event = self.events.get()
            if isinstance(event, GeneratorError):
                raise event
            yield event
            if event.usage is not None:
                return

    def mark(self, name: str) -> None:
        """Milliseconds since it was handed in, without those that have a name already."""
        passed = (time.perf_counter() - self.since) * 1000
        self.timings_ms[name] = passed - sum(self.timings_ms.values())

    def write(self, token: int, ends: Collection[int]) -> bool:
        """Pass on what the token completes; whether it was the last."""
        if not self.written:
            self.mark("prefill")
        self.written += 1
        if token in ends:
            self.finish(truncated=False)
            return True
        if text := self.text.feed(token):
            self.events.put(Piece(text))
        full = self.written >= self.limit
        if self.text.stopped or full:
            self.finish(truncated=full and not self.text.stopped)
            return True
        return False

    def finish(self, *, truncated: bool) -> None:
        """The rest of the text, then what the answer took."""
        if text := self.text.finish():
            self.events.put(Piece(text))
        usage = Usage(len(self.prompt), self.written)
        self.events.put(
            Piece("", usage=usage, truncated=truncated, timings_ms=dict(self.timings_ms))
        )


class ModelThread:
    """Takes jobs from any thread, and works on up to `batch` of them at once."""

    def __init__(
        self, name: str, adapters: LoadedAdapters, ends: Collection[int], *, batch: int, queue: int
    ) -> None:
        self._name = name
        self._adapters = adapters
        self._decoder = Decoder(adapters)
        self._ends = ends
        self._batch = batch
        self._queue = queue
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []
        self._changed = threading.Condition()  # guards `_waiting` and `_closed`
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="language model", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue it.

        Raises:
            GeneratorBusyError: the queue is full.
            GeneratorError: the thread has ended.
        """
        with self._changed:
            if self._closed:
                raise GeneratorError(f"the language model {self._name!r} is closed")
            if len(self._waiting) >= self._queue:
                raise GeneratorBusyError(
                    f"the language model writes {self._batch} answers and {self._queue} more wait; "
                    "try again in a few seconds, or raise TWOFOLD_GENERATION_QUEUE"
                )
            self._waiting.append(job)
            self._changed.notify()

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._waiting)

    def close(self) -> None:
        """End the thread; what it works on fails."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        import torch

        while True:
            with self._changed:
                while not (self._waiting or self._running or self._closed):
                    self._changed.wait()
                if self._closed:
                    break
            try:
                with torch.inference_mode():
                    self._turn()
            except Exception as error:  # noqa: BLE001 - torch raises what it likes
                self._fail(self._running, error)
                self._running = []
                self._decoder.clear()
        wanted = [job for job in [*self._running, *self._waiting] if not job.unwanted]
        if wanted:
            self._fail(wanted, RuntimeError("it was closed"))

    def _turn(self) -> None:
        """Let those go whom nobody waits for, let others in, and write one token of each."""
        self._leave()
        self._read(self._admitted())
        if self._running:
            self._decoder.step()
            self._pass_on(self._running)

    def _leave(self) -> None:
        with self._changed:
            gone = [job for job in self._waiting if job.unwanted]
            for job in gone:
                self._waiting.remove(job)
        for job in self._running:
            if job.unwanted:
                gone.append(job)
        for job in gone:
            self._drop(job)
            job.finish(truncated=False)

    def _admitted(self) -> list[Job]:
        """From the head of the queue, as many as there is place for; their adapters are loaded."""
        admitted: list[Job] = []
        tokens = 0
        while len(self._running) + len(admitted) < self._batch:
            with self._changed:
                job = self._waiting[0] if self._waiting else None
            if job is None or (admitted and tokens + len(job.prompt) > READ_TOKENS):
                break
            labels = {each.label for each in [*self._running, *admitted] if each.label}
            if job.version and self._adapters.must_wait(job.version, labels):
                break
            with self._changed:
                self._waiting.popleft()
            job.mark("queue")
            if self._equip(job, labels):
                tokens += len(job.prompt)
                admitted.append(job)
        return admitted

    def _equip(self, job: Job, in_use: Collection[str]) -> bool:
        """Have its adapter in memory; a job whose adapter cannot be had ends here."""
        if job.version is None:
            return True
        try:
            took = self._adapters.use(job.version, in_use)
        except GeneratorError as error:
            job.events.put(error)
            return False
        except Exception as error:  # noqa: BLE001 - PEFT raises what it likes
            self._fail([job], error)
            return False
        if took is not None:
            job.timings_ms["adapter_load"] = took
        return True

    def _read(self, jobs: list[Job]) -> None:
        """Read the prompts together; where that fails, one by one, so that the others go on."""
        rows = [Row(job.prompt, Sampler(job.sampling), job.label) for job in jobs]
        try:
            self._decoder.read(rows)
        except Exception as error:  # noqa: BLE001 - torch raises what it likes
            for row in rows:
                self._decoder.drop(row)
            if len(jobs) == 1:
                self._fail(jobs, error)
                return
            for job in jobs:
                self._read([job])
            return
        for job, row in zip(jobs, rows, strict=True):
            job.row = row
        self._running += jobs
        self._pass_on(jobs)

    def _pass_on(self, jobs: list[Job]) -> None:
        """The tokens that were picked, to those who wait for them."""
        for job in list(jobs):
            token = job.row.token if job.row else None
            if token is None:
                self._fail([job], ArithmeticError("its output holds no finite numbers"))
                self._drop(job)
            elif job.write(token, self._ends):
                self._drop(job)

    def _drop(self, job: Job) -> None:
        if job.row is not None:
            self._running.remove(job)
            self._decoder.drop(job.row)

    def _fail(self, jobs: Collection[Job], error: Exception) -> None:
        logger.error("the language model %r failed", self._name, exc_info=error)
        for job in jobs:
            failure = GeneratorError(f"the language model {self._name!r} failed: {error}")
            failure.__cause__ = error
            job.events.put(failure)
