"""What a process holds of the machine's memory, as Linux counts it."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_FIELDS = {"VmRSS": "rss_mib", "RssAnon": "own_mib", "RssFile": "file_mib", "VmHWM": "peak_mib"}


@dataclass(frozen=True, slots=True)
class Memory:
    """In MiB. `rss` is all of it; `own` its own, `file` mapped files, given back when needed.

    `peak` is the most that it ever was, or was since `reset_peak`.
    """

    rss_mib: float
    own_mib: float
    file_mib: float
    peak_mib: float

    @classmethod
    def of(cls, process: int | str = "self") -> Memory | None:
        """Of a running process; None where the system has no /proc."""
        try:
            lines = Path(f"/proc/{process}/status").read_text().splitlines()
        except OSError:
            return None
        rows = (line.split(":", 1) for line in lines if ":" in line)
        found = {
            _FIELDS[name]: int(value.split()[0]) / 1024 for name, value in rows if name in _FIELDS
        }
        return cls(**found) if len(found) == len(_FIELDS) else None

    def record(self) -> dict[str, Any]:
        """For a result file."""
        return asdict(self)


def reset_peak() -> None:
    """Count this process's peak from now on, where the system lets it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
