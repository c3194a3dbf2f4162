"""The HNSW graph of an Edge shard, built in a process of its own.

    python -m retrieval.edge_graph SHARD

`EdgeShard.optimize()` holds the interpreter for its whole length (two minutes at 100,000 passages),
so a server never calls it. `GraphMaintenance` has it done whenever too many are scanned.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Protocol

from retrieval.errors import RetrievalError, StoreError

CHECK_S = 2.0
QUIET_S = 10.0  # a long ingest is waited for, so that the graph is not built again and again
_PR_SET_PDEATHSIG = 1

logger = logging.getLogger(__name__)


class GraphBuilder:
    """Runs the child process; `stop`, from any thread, ends it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._stopped = threading.Event()

    def run(self, shard: Path) -> bool:
        """Build the graph of the shard in a folder nobody else uses; False when stopped.

        Raises:
            StoreError: the child failed; says how.
        """
        with self._lock:
            if self._stopped.is_set():
                return False
            self._child = subprocess.Popen(
                [sys.executable, "-m", "retrieval.edge_graph", str(shard)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        _, errors = self._child.communicate()
        if self._stopped.is_set():
            return False
        if self._child.returncode != 0:
            raise StoreError(f"the graph of {shard} could not be built:\n{errors[-2000:]}")
        return True

    def stop(self) -> None:
        """End the child, if one runs, and begin no other."""
        with self._lock:
            self._stopped.set()
            if self._child is not None:
                self._child.kill()


class GraphStore(Protocol):
    """What the maintenance asks of the store."""

    @property
    def scan_limit(self) -> int: ...  # noqa: D102

    @property
    def written_at(self) -> float: ...  # noqa: D102

    def count(self) -> int: ...  # noqa: D102

    def scanned(self) -> int: ...  # noqa: D102

    def build_graph(self, builder: GraphBuilder) -> bool: ...  # noqa: D102


class GraphMaintenance:
    """A thread that has the graph built anew when a tenth of the passages is not in it.

    It waits for a pause in the writing, but not when ten times as many are scanned.
    """

    def __init__(
        self, store: GraphStore, *, check_s: float = CHECK_S, quiet_s: float = QUIET_S
    ) -> None:
        self._store = store
        self._check_s = check_s
        self._quiet_s = quiet_s
        self._builder = GraphBuilder()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="graph-maintenance", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give up what is under way; the next start tries again."""
        self._stopping.set()
        self._builder.stop()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._check_s):
            try:
                if self._is_due():
                    self._build()
            except RetrievalError:
                logger.exception("the index stays as it was; searches scan meanwhile")
                return

    def _is_due(self) -> bool:
        scanned = self._store.scanned()
        if scanned <= self._store.scan_limit:
            return False
        limit = max(self._store.scan_limit, self._store.count() // 10)
        quiet = time.monotonic() - self._store.written_at >= self._quiet_s
        return scanned > (limit if quiet else 10 * limit)

    def _build(self) -> None:
        logger.info("building the graph of %d passages in the background", self._store.count())
        started = time.perf_counter()
        if self._store.build_graph(self._builder):
            logger.info("the graph is built and used, %.0f s", time.perf_counter() - started)


def build(shard: Path) -> None:
    """Build the graph here, in this process; takes minutes and all that the others leave over."""
    import qdrant_edge as edge

    opened = edge.EdgeShard.load(str(shard))
    opened.optimize()
    opened.flush()
    opened.close()


def main() -> None:
    """Build it at the lowest priority, and die with the process that asked for it."""
    with contextlib.suppress(OSError, AttributeError):  # Linux alone can do that
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.nice(19)
    build(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
