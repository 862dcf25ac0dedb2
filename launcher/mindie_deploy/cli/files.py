"""Files that a command is asked to write."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from mindie_deploy.errors import UsageError

REMEDY = "name a file in a directory that exists and that you can write to"


def require_writable(path: Path) -> None:
    """Raises UsageError for a file that could not be written: before hosts are asked, not after."""
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise UsageError(f"{path} cannot be written", REMEDY)


def write_file(path: Path, text: str) -> None:
    """Writes a file beside its place and renames it. Raises UsageError when that fails."""
    try:
        handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as out:
            out.write(text)
        Path(beside).chmod(0o644)
        Path(beside).replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", REMEDY) from error
