"""`twofold train`: examples checked, a run planned, an adapter trained and registered."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from serving.cli import train_check, train_plan
from serving.cli.main import command_parser
from serving.cli.options import add_profile, console, quiet_libraries, settings_of

if TYPE_CHECKING:
    from finetune.configuration import TrainingConfiguration
    from finetune.training import Trained

BEFORE = {"check": train_check, "plan": train_plan}
USAGE = """twofold train --config FILE [--out DIR] [--resume] [--force]
       twofold train check FILE ...
       twofold train plan MODEL ..."""


def run(arguments: Sequence[str]) -> int:
    """`check` and `plan` look; with a configuration it trains."""
    if arguments and arguments[0] in BEFORE:
        name, *rest = arguments
        before = BEFORE[name]
        parser = argparse.ArgumentParser(prog=f"twofold train {name}", description=before.__doc__)
        before.add_arguments(parser)
        return int(before.run(parser.parse_args(rest)))
    options = _parser().parse_args(arguments)
    return _train(options)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("train")
    parser.usage = USAGE
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="TOML: data, base, settings"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="the run's folder (default: below TWOFOLD_HOME)"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on from the last checkpoint in --out"
    )
    parser.add_argument(
        "--force", action="store_true", help="train on fewer than 100 examples all the same"
    )
    add_profile(parser)
    return parser


def _train(options: argparse.Namespace) -> int:
    from finetune.configuration import load_configuration

    configuration = load_configuration(options.config)
    home = settings_of(options).home
    out = options.out or _folder(home, configuration.name, resume=options.resume)

    from finetune.errors import TrainingError
    from finetune.run_folder import is_first
    from finetune.training import train

    quiet_libraries()  # what concerns users, we say
    said = console()
    said.print(
        f"{configuration.method} of {configuration.base_model} on {configuration.train}; "
        f"the run is kept in {out}",
        soft_wrap=True,
        markup=False,
    )
    trained = train(configuration, out, resume=options.resume, force=options.force)
    if not is_first():  # of several processes one speaks
        return 0
    _report(trained)
    if not trained.learned:
        raise TrainingError(
            "the validation loss is not below that of the base, so nothing was registered; "
            f"{trained.weights} holds the weights. Look at loss.svg beside them: a lower "
            "learning_rate, more steps, or more examples"
        )
    if configuration.method.makes_adapter:
        version = _register(home, configuration, trained)
        said.print(
            f"{version} is a candidate: `twofold adapters promote {version}` makes it answer",
            soft_wrap=True,
            markup=False,
        )
    return 0


def _folder(home: Path, name: str, *, resume: bool) -> Path:
    """A new one by the time, or with `resume` the name's newest."""
    runs = home / "runs"
    if resume:
        from finetune.errors import TrainingError

        own = re.compile(rf"{re.escape(name)}-\d{{8}}-\d{{6}}")
        found = sorted(each for each in runs.glob("*") if own.fullmatch(each.name))
        if not found:
            raise TrainingError(f"{runs} holds no run of {name!r} to resume; give its --out")
        return found[-1]
    return runs / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"


def _register(home: Path, configuration: TrainingConfiguration, trained: Trained) -> str:
    """The new version's NAME@NUMBER."""
    from finetune.adapters import AdapterRegistry
    from finetune.base_identity import read_base
    from finetune.manifest import Provenance, describe
    from finetune.run_folder import git_commit

    manifest = describe(
        trained.weights,
        read_base(configuration.base_model, revision=configuration.base_revision),
        name=configuration.name,
        method=configuration.method,
        provenance=Provenance(
            data_licence=configuration.data_licence,
            data_sha256=trained.data_sha256,
            training=configuration.model_dump(mode="json"),
            metrics=trained.metrics,
            git_commit=git_commit(),
        ),
    )
    return AdapterRegistry(home / "adapters").add(trained.weights, manifest).label


def _report(trained: Trained) -> None:
    metrics = trained.metrics
    share = metrics["trained_parameters"] / metrics["parameters"]
    console().print(
        f"{metrics['steps']:,.0f} steps, {metrics['tokens']:,.0f} tokens in "
        f"{metrics['seconds'] / 60:.1f} minutes; {metrics['trained_parameters']:,.0f} parameters "
        f"({share:.2%})\n"
        f"validation loss {metrics['validation_loss_before']:.3f} before, "
        f"{metrics['validation_loss']:.3f} after\n"
        f"curves and samples: {trained.folder}",
        soft_wrap=True,
        markup=False,
    )
