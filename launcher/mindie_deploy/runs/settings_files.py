"""Finds the file and line that set a variable, for messages about wrong settings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import yaml

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


def yaml_problem(sources: Iterable[Path]) -> tuple[str, str] | None:
    """Returns ("file:line:column", what is wrong) of the first YAML file that is no YAML, or None.

    ansible-inventory names neither file nor line for one in group_vars (seen with 2.19).
    """
    for path in _files(sources, ()):
        if path.suffix not in (".yml", ".yaml", ".json"):
            continue
        try:
            text = path.read_bytes().decode("utf-8")
            if not text.startswith("$ANSIBLE_VAULT"):
                for _ in yaml.parse(text, Loader=yaml.SafeLoader):
                    pass
        except UnicodeDecodeError as error:
            line = path.read_bytes()[: error.start].count(b"\n") + 1
            return f"{_short(path)}:{line}", "it is not UTF-8 text"
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            words = ", ".join(filter(None, (error.context, error.problem)))
            if error.context_mark is not None and mark is not None and error.context_mark.line != mark.line:
                words += f" (it begins in line {error.context_mark.line + 1})"
            return f"{_short(path)}:{mark.line + 1}:{mark.column + 1}" if mark else _short(path), words
        except yaml.YAMLError as error:
            return _short(path), str(error)
        except OSError as error:
            return _short(path), str(error.strerror)
    return None


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
