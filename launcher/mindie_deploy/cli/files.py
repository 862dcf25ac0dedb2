"""Files that a command is asked to write."""

from __future__ import annotations

from pathlib import Path

from mindie_deploy.errors import UsageError
from mindie_deploy.runs.whole_file import can_be_written, write_whole

REMEDY = "name a file in a directory that exists and that you can write to"


def require_writable(path: Path) -> None:
    """Raises UsageError for a file that could not be written: before hosts are asked, not after."""
    if not can_be_written(path):
        raise UsageError(f"{path} cannot be written", REMEDY)


def write_file(path: Path, text: str) -> None:
    """Writes a text for everybody to read, whole or not at all. Raises UsageError when that fails."""
    try:
        write_whole(path, text.encode("utf-8", "backslashreplace"), 0o644)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", REMEDY) from error
