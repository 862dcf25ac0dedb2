"""Finds the file and line that set a variable, for messages about wrong settings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

SUFFIXES = frozenset({"", ".yml", ".yaml", ".json", ".ini", ".cfg"})
LARGEST = 4 * 1024 * 1024


def places_of(key: str, sources: Iterable[Path], hosts: Sequence[str] = ()) -> tuple[str, ...]:
    """Returns "file:line" of every place where the key is set, the one that wins for `hosts` last.

    Looks into the inventory files and the group_vars and host_vars beside them; what cannot be read is left out, as
    this only makes a message better.
    """
    pattern = re.compile(rf"""^\s*(?:-\s+)?["']?{re.escape(key)}["']?\s*[:=]|\s{re.escape(key)}=""")
    found = []
    for path in _files(sources, hosts):
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        found += [f"{_short(path)}:{number}" for number, line in enumerate(lines, 1) if pattern.search(line)]
    return tuple(found)


def _files(sources: Iterable[Path], hosts: Sequence[str]) -> Iterator[Path]:
    for source in sources:
        base = source if source.is_dir() else source.parent
        if source.is_file():
            yield source
        else:
            yield from (path for path in sorted(source.iterdir()) if _is_variables(path))
        for place in (base / "group_vars", base / "host_vars"):
            if not place.is_dir():
                continue
            for path in sorted(place.rglob("*")):
                of_other_host = (
                    place.name == "host_vars" and path.relative_to(place).parts[0].split(".")[0] not in hosts
                )
                if _is_variables(path) and not (hosts and of_other_host):
                    yield path


def _is_variables(path: Path) -> bool:
    return (
        path.is_file()
        and path.suffix in SUFFIXES
        and path.stat().st_size <= LARGEST
        # An inventory that is a program is not text to look into.
        and not (path.suffix == "" and os.access(path, os.X_OK))
    )


def _short(path: Path) -> str:
    """Returns the path from the working directory where it lies below, as people type it."""
    try:
        return str(path.resolve().relative_to(Path.cwd().resolve()))
    except ValueError:
        return str(path)
