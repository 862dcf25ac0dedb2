"""The order of driver and firmware versions, such as 24.1.rc3 < 24.1.0 < 25.0.rc1 < 25.0.rc1.1 < 25.2.0."""

from __future__ import annotations

import re
from typing import TypeAlias

PART = re.compile(r"(?P<kind>rc|b|t|)(?P<number>\d{1,9})")
Version: TypeAlias = tuple[tuple[int, int], ...]


def parse_version(text: str) -> Version | None:
    """Returns a key that sorts as versions do, or None for text that is no version.

    A release candidate sorts before the number zero at the same place. A build (b030) is dropped: it is a build of
    that version, older or newer than the version's own cannot be told.
    """
    parts = text.strip().lower().removeprefix("v").split(".")
    key: list[tuple[int, int]] = []
    for part in parts:
        found = PART.fullmatch(part)
        if not found:
            return None
        if found["kind"] == "b":
            continue
        key.append((0 if found["kind"] in ("rc", "t") else 1, int(found["number"])))
    return tuple(key) or None


def is_older(version: Version, than: Version) -> bool:
    return version < than
