"""What happens between the steps of a run: what people see, what is kept, when it stops."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from finetune.checkpoints import mark_complete

MIB = 2**20
LOGGED = ("epoch", "loss", "eval_loss", "learning_rate", "grad_norm", "mean_token_accuracy")


class Checkpoints(TrainerCallback):  # type: ignore[misc]
    """Marks what is whole; once asked to stop, saves after the current step and ends the run."""

    def __init__(self) -> None:
        self.stopped = False

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The trainer has written the last of a checkpoint's files."""
        if state.is_world_process_zero:
            mark_complete(Path(args.output_dir), state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Between steps nothing is half-computed."""
        if self.stopped:
            control.should_save = True
            control.should_training_stop = True

    @contextmanager
    def stopping_on_signals(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM end the run in good order; a second one ends it at once."""

        def stop(*_: object) -> None:
            if self.stopped:
                raise KeyboardInterrupt
            self.stopped = True

        previous = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in previous.items():
                signal.signal(each, handler)


class History(TrainerCallback):  # type: ignore[misc]
    """Losses, tokens a second and memory: shown in a bar, and written line by line."""

    def __init__(
        self, file: Path, tokens_per_step: float, *, quiet: bool, earlier_s: float = 0
    ) -> None:
        self._file = file
        self._tokens_per_step = tokens_per_step
        self._quiet = quiet
        self._bar: Any = None
        self._task: Any = None
        self._earlier_s = earlier_s  # what a stopped run had taken
        self._started = time.perf_counter()
        self._first_step = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A resumed run begins where it stopped."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as TimeLeft

        watched = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeLeft(),
            console=watched,
            transient=True,
            disable=self._quiet or not watched.is_terminal or not state.is_world_process_zero,
        )
        self._bar.start()
        self._task = self._bar.add_task(
            "Training", total=state.max_steps, completed=state.global_step
        )
        self._first_step = state.global_step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """One more."""
        self._bar.update(self._task, completed=state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """`loss` while training, `eval_loss` at an evaluation."""
        if not state.is_world_process_zero or not {"loss", "eval_loss"} & set(logs or {}):
            return
        line = {
            "step": state.global_step,
            **{name: logs[name] for name in LOGGED if name in logs},
            "seconds": round(self.seconds, 3),
            "tokens_per_s": round(self._speed(state.global_step), 1),
            "memory_mib": round(used_memory_mib()),
        }
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self._bar is not None:  # None at the evaluation before the first step
            self._bar.update(self._task, description=_said(line))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """However it ended."""
        self.close()

    @property
    def seconds(self) -> float:
        """Since the run began, without the time between its parts."""
        return self._earlier_s + time.perf_counter() - self._started

    def close(self) -> None:
        """Also after an error; a second time does nothing."""
        if self._bar is not None:
            self._bar.stop()

    def _speed(self, step: int) -> float:
        passed = time.perf_counter() - self._started
        return (step - self._first_step) * self._tokens_per_step / passed


class Samples(TrainerCallback):  # type: ignore[misc]
    """Answers a few validation prompts at each evaluation, greedily, into a file."""

    def __init__(
        self, file: Path, tokenizer: Any, prompts: Sequence[Sequence[int]], *, max_new_tokens: int
    ) -> None:
        self._file = file
        self._tokenizer = tokenizer
        self._prompts = prompts
        self._max_new_tokens = max_new_tokens

    def on_evaluate(
        self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any
    ) -> None:
        """The model is left as it was found."""
        if not state.is_world_process_zero or not self._prompts:
            return
        with self._file.open("a", encoding="utf-8") as file:
            for prompt in self._prompts:
                text = generate(model, self._tokenizer, prompt, self._max_new_tokens)
                line = {
                    "step": state.global_step,
                    "prompt": self._tokenizer.decode(list(prompt)),
                    "answer": text,
                }
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


def generate(model: Any, tokenizer: Any, prompt: Sequence[int], max_new_tokens: int) -> str:
    """The most likely continuation, without special tokens."""
    import torch

    was_training = model.training
    model.eval()
    ids = torch.tensor([list(prompt)], device=model.device)  # (1, tokens)
    with torch.no_grad():
        made = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            use_cache=True,
            pad_token_id=tokenizer.pad_token_id
            if tokenizer.pad_token_id is not None
            else tokenizer.eos_token_id,
        )
    model.train(was_training)
    text: str = tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True)
    return text


def used_memory_mib() -> float:
    """The peak: of the GPU's memory where there is one, else of this process."""
    import resource

    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / MIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB


def _said(line: dict[str, Any]) -> str:
    loss = line.get("loss", line.get("eval_loss"))
    what = "loss" if "loss" in line else "validation loss"
    said = f"{what} {loss:.3f} · " if loss is not None else ""
    return f"{said}{line['tokens_per_s']:,.0f} tokens/s · {line['memory_mib']:,} MiB"
