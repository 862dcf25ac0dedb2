"""Lists of ports as the kernel and HCCL write them: "60000-60031,8080"."""

from __future__ import annotations

import re

PART = re.compile(r"(?P<first>[0-9]{1,5})(?:-(?P<last>[0-9]{1,5}))?")
LAST_PORT = 65535

Ranges = tuple[tuple[int, int], ...]


def port_ranges(text: str) -> Ranges | None:
    """Returns the ranges, each with its first and last port; () for no text, None for any other form."""
    found: list[tuple[int, int]] = []
    for word in text.split(",") if text.strip() else ():
        match = PART.fullmatch(word.strip())
        if match is None:
            return None
        first, last = int(match["first"]), int(match["last"] or match["first"])
        if not first <= last <= LAST_PORT:
            return None
        found.append((first, last))
    return tuple(found)
