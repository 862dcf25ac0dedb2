"""Files that a user asks for: written whole, or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

NO_FILES = ("/dev/", "/proc/")  # what stands there is opened, never replaced, also where it leads to a file


def can_be_written(path: Path) -> bool:
    """Tells whether write_whole could write there now."""
    if path.is_dir():
        return False
    if _is_stream(path):
        return os.access(path, os.W_OK)
    parent = path.resolve().parent
    return parent.is_dir() and os.access(parent, os.W_OK)


def write_whole(path: Path, content: bytes, mode: int) -> None:
    """Writes a file beside its place and renames it; a link stays and its target is written.

    Devices, pipes and the like are written to as they are. Raises OSError.
    """
    if _is_stream(path):
        with path.open("wb") as out:
            out.write(content)
        return
    target = path.resolve()
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    beside = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
        beside.chmod(mode)
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _is_stream(path: Path) -> bool:
    return str(path.absolute()).startswith(NO_FILES) or (path.exists() and not path.is_file())
