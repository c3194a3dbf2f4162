"""What a run leaves beside its weights, so that somebody can do it again.

RUN/configuration.json   every setting, the data's hash, the seed, the commit
    log.jsonl            losses, speed and memory, step by step; samples.jsonl: what it answered
    tensorboard/         the same for TensorBoard
    checkpoints/         what a stopped run resumes from
    loss.svg             the curves
    metrics.json         what it came to
    adapter/ or model/   the weights
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.base_identity import chat_template_sha256, tokenizer_sha256, weights_sha256
from finetune.configuration import TrainingConfiguration
from finetune.errors import TrainingError

CONFIGURATION = "configuration.json"
LOG, SAMPLES, METRICS, PLOT = "log.jsonl", "samples.jsonl", "metrics.json", "loss.svg"
CHECKPOINTS, TENSORBOARD = "checkpoints", "tensorboard"
ADAPTER, MODEL = "adapter", "model"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run's place on disk."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """What a stopped run resumes from."""
        return self.path / CHECKPOINTS

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else writes here meanwhile; of several processes on one run, the first writes.

        Raises:
            TrainingError: another process trains in the folder.
        """
        if not is_first():
            yield
            return
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise TrainingError(
                    f"another process trains in {self.path}; wait for it, or give another --out"
                ) from error
            yield

    def begin(self, record: Mapping[str, Any]) -> None:
        """Make the folder for a new run.

        Raises:
            TrainingError: it holds a run already.
        """
        if (self.path / CONFIGURATION).exists():
            raise TrainingError(
                f"{self.path} holds a run already: --resume goes on with it, another --out begins "
                "a new one"
            )
        self.write(CONFIGURATION, record)

    def check_same(self, record: Mapping[str, Any]) -> None:
        """Whether a resumed run goes on as it began.

        Raises:
            TrainingError: there is no run, it is finished, or settings or data are others; names
                each.
        """
        if (self.path / METRICS).exists():
            raise TrainingError(
                f"the run in {self.path} is finished: `twofold adapters` lists what it gave, "
                f"`twofold adapters import {self.path / ADAPTER}` adds it where it was not "
                "registered, and another --out begins a new run"
            )
        try:
            before = json.loads((self.path / CONFIGURATION).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise TrainingError(f"{self.path} holds no run to resume: {error}") from error
        now = json.loads(json.dumps(record))
        keys = sorted((set(before) | set(now)) - {"git_commit"})
        changed = [
            f"{key}: {before.get(key)!r} then, {now.get(key)!r} now"
            for key in keys
            if before.get(key) != now.get(key)
        ]
        if changed:
            raise TrainingError(
                f"{self.path} was begun otherwise, and a mixture would be nobody's run; start a "
                "new one with another --out:\n  " + "\n  ".join(changed)
            )

    def write(self, name: str, value: Mapping[str, Any]) -> None:
        """A JSON file, whole or not at all."""
        self._replace(name, json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def _replace(self, name: str, text: str) -> None:
        scratch = self.path / f".{name}.tmp"
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(self.path / name)

    def log(self) -> list[dict[str, Any]]:
        """What was measured, step by step."""
        return _whole_lines(self.path / LOG)

    def forget_after(self, step: int | None) -> None:
        """Drop from log and samples what a resumed run does again, and lines that were cut off.

        `step` is that of the checkpoint; None: the run begins anew.
        """
        for name in (LOG, SAMPLES):
            lines = _whole_lines(self.path / name)
            kept = [line for line in lines if step is not None and line["step"] <= step]
            text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept)
            self._replace(name, text)

    def draw_losses(self) -> None:
        """The log's curves, as SVG."""
        from matplotlib.figure import Figure

        lines = self.log()
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.add_subplot()
        for key, label in (("loss", "training"), ("eval_loss", "validation")):
            points = [(line["step"], line[key]) for line in lines if key in line]
            if points:
                axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=label)
        axes.set_xlabel("step")
        axes.set_ylabel("loss: mean -ln p of an answer's token")
        axes.legend(frameon=False)
        figure.savefig(self.path / PLOT)


def record_of(
    configuration: TrainingConfiguration, tokenizer: Any, data_sha256: str
) -> dict[str, Any]:
    """What decides the weights, and where the code stood."""
    base = Path(configuration.base_model)
    return {
        **configuration.model_dump(mode="json"),
        "base_weights_sha256": weights_sha256(base) if base.is_dir() else None,
        "tokenizer_sha256": tokenizer_sha256(tokenizer),
        "chat_template_sha256": chat_template_sha256(tokenizer),
        "data_sha256": data_sha256,
        "git_commit": git_commit(),
    }


def sha256_of(*files: Path) -> str:
    """Hex SHA-256 of one file; of several, that of their hashes."""
    hashes = [hashlib.sha256(file.read_bytes()) for file in files]
    if len(hashes) == 1:
        return hashes[0].hexdigest()
    return hashlib.sha256(b"".join(each.digest() for each in hashes)).hexdigest()


def is_first() -> bool:
    """Whether this process writes, of those that `accelerate launch` started for one run."""
    return os.environ.get("RANK", "0") == "0"


def git_commit() -> str | None:
    """The commit that this code stands at; None outside a repository."""
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else None


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines, up to one that was cut off."""
    found: list[dict[str, Any]] = []
    if not path.exists():
        return found
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found
