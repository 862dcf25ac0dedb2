"""What a tool prints and how it ends, before it is printed."""

from __future__ import annotations

from .light import NamedTuple


class Answer(NamedTuple):
    """Text per stream, and the exit status as the shell sees it (0 to 255)."""

    stdout: str = ""
    stderr: str = ""
    status: int = 0


def row(key: str, value: object, width: int = 30) -> str:
    """One `key : value` line of npu-smi: TAB, key padded to `width`, colon."""
    return f"\t{key:<{width}} : {value}\n"
