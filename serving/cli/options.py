"""Arguments that several commands share, and how a command prints."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from serving.settings import Settings

PIPED_WIDTH = 400  # lines are not wrapped for `grep` and files


def add_profile(parser: argparse.ArgumentParser) -> None:
    """`--profile NAME`."""
    from serving.settings import DEFAULT_PROFILE

    parser.add_argument(
        "--profile",
        default=DEFAULT_PROFILE,
        help="starter (default), starter-model, gpu-24gb or cluster",
    )


def add_collections(parser: argparse.ArgumentParser) -> None:
    """`--collection NAME`, more than once."""
    parser.add_argument(
        "--collection",
        action="append",
        default=[],
        dest="collections",
        metavar="NAME",
        help="look only here; may be given again",
    )


def count(word: str) -> int:
    """The type of an argument that is a number from 1."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is not a number from 1")
    return int(word)


def settings_of(options: argparse.Namespace, **overrides: Any) -> Settings:
    """The settings of the chosen profile."""
    from serving.settings import load_settings

    return load_settings(options.profile, **overrides)


def console() -> Console:
    """Where people read; plain text when piped."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)


def quiet_libraries() -> None:
    """Silences what transformers and bitsandbytes log, warn of and draw: not for users to mend."""
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    set_verbosity_error()
    disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    warnings.simplefilter("ignore", FutureWarning)
    # PEFT says so at every token of a prompt-tuned model; a single prompt needs no position ids.
    warnings.filterwarnings("ignore", message="Position ids are not supported")


def print_json(value: object) -> None:
    """For programs."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_json(path: Path, value: object) -> None:
    """A result file; it appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.tmp")
    scratch.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    scratch.replace(path)
