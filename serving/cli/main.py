"""Reads the command line and runs one command. Heavy modules are imported by the command alone."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence

COMMANDS = {
    "serve": "serve the chat page and the OpenAI-compatible API",
    "ask": "ask a question, get a cited answer",
    "search": "find passages, without an answer",
    "ingest": "add files and folders, or replace what changed",
    "documents": "list, show, delete documents; rebuild the index",
    "evaluate": "measure answers, or each stage of the search, on known questions",
    "bench": "measure what each stage of the search, each training method, or many chats take",
    "train": "check examples, plan a run, train an adapter",
    "adapters": "list, show, import, merge, remove what was trained",
    "decide": "RAG, fine-tuning or both for a use case, with what each costs",
    "doctor": "say what is installed, what is missing and how to get it",
}
ROOMS = ("retrieval", "router", "finetune", "serving", "eval")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 failed with a message, 2 wrong usage, 130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    verbose = "--verbose" in words
    words = [word for word in words if word != "--verbose"]
    if not words or words[0] in ("-h", "--help"):
        sys.stdout.write(_help())
        return 0 if words else 2
    name, *rest = words
    if name not in COMMANDS:
        sys.stderr.write(f"twofold: no command {name!r}; there are {', '.join(COMMANDS)}\n")
        return 2
    _configure_logging(verbose=verbose)
    try:
        return int(importlib.import_module(f"serving.cli.{name}").run(rest))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    except BrokenPipeError:  # the reader, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        message = _message(error)
        if verbose or message is None:
            raise
        sys.stderr.write(f"twofold: {message}\n")
        return 1


def _message(error: Exception) -> str | None:
    """What people are told; None for what nobody foresaw, which deserves its traceback."""
    if isinstance(error, ModuleNotFoundError):
        return f"{error}; `twofold doctor` says how to get what is missing"
    return str(error) if type(error).__module__.partition(".")[0] in ROOMS else None


def command_parser(name: str) -> argparse.ArgumentParser:
    """The parser that a command adds its arguments to."""
    return argparse.ArgumentParser(prog=f"twofold {name}", description=COMMANDS[name])


def _help() -> str:
    listing = "\n".join(f"  {name:<11} {purpose}" for name, purpose in COMMANDS.items())
    return (
        "usage: twofold COMMAND [OPTIONS]\n\n"
        "Answers from your documents, cited; in your voice, trained.\n\n"
        f"{listing}\n\n"
        "`twofold COMMAND --help` says more; --verbose logs more and shows tracebacks.\n"
    )


def _configure_logging(*, verbose: bool) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for room in ROOMS:
        logging.getLogger(room).setLevel(logging.DEBUG if verbose else logging.INFO)


if __name__ == "__main__":
    sys.exit(main())
