"""Questions asked in the terminal, each with why it is asked, until the answer is understood."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from router.values import ValueFormatError

Value = TypeVar("Value")


class NoAnswerError(Exception):
    """The input ended before the question was answered."""


def ask(text: str, why: str, read: Callable[[str], Value], *, example: str) -> Value:
    """The answer, read. Questions go to stderr, so that stdout holds the result alone.

    Raises:
        NoAnswerError: there is no more input.
    """
    sys.stderr.write(f"{text}\n  {why}\n")
    while True:
        sys.stderr.write(f"  [{example}] > ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            sys.stderr.write("\n")
            raise NoAnswerError(text)
        try:
            return read(line.strip())
        except ValueFormatError as error:
            sys.stderr.write(f"  {error}\n")
