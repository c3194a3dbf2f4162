"""The four training methods on the same data: parameters, memory, time, quality, forgetting."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eval.forgetting import losses, mean_loss
from eval.intervals import Estimate, bootstrap_mean
from finetune.configuration import Method, TrainingConfiguration
from serving.cli.options import quiet_libraries


@dataclass(frozen=True, slots=True)
class MethodResult:
    """What one method came to.

    Losses are means of -ln p a token: of the validation answers, and of general text. `forgotten`
    is the change of the latter, the mean of the texts' own changes with its 95 % interval.
    """

    method: Method
    trained_parameters: int
    trained_rate: float
    peak_memory_mib: float
    seconds: float
    tokens_per_s: float
    loss_before: float
    loss_after: float
    general_before: float
    general_after: float
    forgotten: Estimate

    def record(self) -> dict[str, Any]:
        """For a result file."""
        return asdict(self)


def measure_methods(
    configuration: TrainingConfiguration,
    methods: Sequence[Method],
    out: Path,
    *,
    texts: Sequence[str],
    force: bool,
    done: Callable[[MethodResult], None],
) -> list[MethodResult]:
    """One run each, in a process of its own, so that no memory is counted twice.

    Raises:
        FinetuneError: a run failed; those before it are in `out`.
    """
    found = []
    for method in methods:
        changed = configuration.model_copy(update={"method": method})
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, context, initializer=quiet_libraries) as pool:
            result = pool.submit(_measure, changed, out / method, list(texts), force=force).result()
        found.append(result)
        done(result)
    return found


def _measure(
    configuration: TrainingConfiguration, out: Path, texts: list[str], *, force: bool
) -> MethodResult:
    from finetune.base_model import load_base, load_tokenizer
    from finetune.callbacks import used_memory_mib
    from finetune.training import train

    trained = train(configuration, out, force=force)
    memory = used_memory_mib()
    tokenizer = load_tokenizer(configuration)
    before = losses(load_base(configuration), tokenizer, texts)
    after = losses(_after(configuration, trained.weights), tokenizer, texts)
    metrics = trained.metrics
    return MethodResult(
        method=configuration.method,
        trained_parameters=int(metrics["trained_parameters"]),
        trained_rate=metrics["trained_parameters"] / metrics["parameters"],
        peak_memory_mib=memory,
        seconds=metrics["seconds"],
        tokens_per_s=metrics["tokens"] / metrics["seconds"],
        loss_before=metrics["validation_loss_before"],
        loss_after=metrics["validation_loss"],
        general_before=mean_loss(before),
        general_after=mean_loss(after),
        forgotten=bootstrap_mean([after[:, 0] / after[:, 1] - before[:, 0] / before[:, 1]]),
    )


def _after(configuration: TrainingConfiguration, weights: Path) -> Any:
    from finetune.base_model import load_base

    if not configuration.method.makes_adapter:
        return load_base(configuration.model_copy(update={"base_model": str(weights)}))
    import warnings

    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return PeftModel.from_pretrained(load_base(configuration), str(weights))
