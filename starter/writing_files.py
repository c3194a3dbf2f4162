"""Writing generated example files, each whole or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write each name's text into the folder, and say how many lines it holds."""
    for name, text in files.items():
        partial = folder / f"{name}.partial"
        partial.write_text(text, encoding="utf-8", newline="\n")
        os.replace(partial, folder / name)
        sys.stdout.write(f"{name}: {text.count(chr(10))} examples\n")
