"""A small language for the form of the state file: what a value may be, its default, and what it means.

Plain Python on purpose: the simulated hosts have the standard library and python3-yaml, no more.
"""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any


@dataclass(frozen=True)
class Field:
    """One value. `kind`: text, whole, number, switch, address, list, free, rows (list of sections), section.

    `low` and `high` bound numbers (both inclusive), `words` lists the only texts allowed, `pattern` is matched against
    the whole text, `none` allows null, `inner` is the table of a section or of each row.
    """

    kind: str
    default: Any
    meaning: str
    low: float | None = None
    high: float | None = None
    words: tuple[str, ...] = ()
    pattern: str | None = None
    none: bool = False
    inner: Mapping[str, Field] = field(default_factory=dict)
    of: str = "text"  # kind of a list's items


Table = Mapping[str, Field]
_TYPES: dict[str, tuple[type, ...]] = {"text": (str,), "whole": (int,), "number": (int, float), "switch": (bool,)}


def text(default: str | None, meaning: str, **more: Any) -> Field:
    """A text."""
    return Field("text", default, meaning, **more)


def whole(default: int | None, meaning: str, **more: Any) -> Field:
    """A whole number."""
    return Field("whole", default, meaning, **more)


def number(default: float | None, meaning: str, **more: Any) -> Field:
    """A number, whole or not."""
    return Field("number", default, meaning, **more)


def switch(default: bool | None, meaning: str, **more: Any) -> Field:
    """true or false."""
    return Field("switch", default, meaning, **more)


def address(default: str | None, meaning: str, **more: Any) -> Field:
    """An IPv4 address or mask as text."""
    return Field("address", default, meaning, **more)


def values(default: list[Any], meaning: str, of: str = "text", **more: Any) -> Field:
    """A list of values of one kind."""
    return Field("list", default, meaning, of=of, **more)


def free(default: Any, meaning: str) -> Field:
    """A mapping whose keys are not checked here."""
    return Field("free", default, meaning)


def section(inner: Table, meaning: str, **more: Any) -> Field:
    """A mapping with a table of its own; left out, all its defaults hold."""
    return Field("section", {}, meaning, inner=inner, **more)


def rows(inner: Table, meaning: str) -> Field:
    """A list of mappings of one form."""
    return Field("rows", [], meaning, inner=inner)


def fill(table: Table, given: object, path: str, problems: list[str]) -> dict[str, Any]:
    """The section `given` with all defaults filled in; every violation is added to `problems` as "path: rule"."""
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        problems.append(f"{path or 'the file'}: must be a mapping of names to values, is {_shown(given)}")
        return fill(table, {}, path, [])
    for key in given:
        if key not in table:
            near = difflib.get_close_matches(str(key), list(table), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            problems.append(f"{_join(path, key)}: no such field{hint}")
    return {key: _value(spec, given.get(key, _MISSING), _join(path, key), problems) for key, spec in table.items()}


_MISSING = object()


def _value(spec: Field, given: object, path: str, problems: list[str]) -> Any:
    if given is _MISSING:
        return fill(spec.inner, {}, path, problems) if spec.kind == "section" else copy.deepcopy(spec.default)
    if given is None:
        if spec.none:
            return None
        if spec.kind == "section":
            return fill(spec.inner, {}, path, problems)
        problems.append(f"{path}: must not be empty")
        return copy.deepcopy(spec.default)
    if spec.kind == "section":
        return fill(spec.inner, given, path, problems)
    if spec.kind == "free":
        if not isinstance(given, Mapping):
            problems.append(f"{path}: must be a mapping of names to values, is {_shown(given)}")
            return {}
        return dict(given)
    if spec.kind in ("rows", "list"):
        return _sequence(spec, given, path, problems)
    problem = _problem(spec, spec.kind, given)
    if problem:
        problems.append(f"{path}: {problem}, is {_shown(given)}")
    return given


def _sequence(spec: Field, given: object, path: str, problems: list[str]) -> list[Any]:
    if not isinstance(given, list):
        problems.append(f"{path}: must be a list, is {_shown(given)}")
        return []
    if spec.kind == "rows":
        return [fill(spec.inner, item, f"{path}[{index}]", problems) for index, item in enumerate(given)]
    if spec.of != "free":
        for index, item in enumerate(given):
            problem = _problem(spec, spec.of, item)
            if problem:
                problems.append(f"{path}[{index}]: {problem}, is {_shown(item)}")
    return list(given)


def _problem(spec: Field, kind: str, given: object) -> str | None:
    """The rule that `given` breaks, or None."""
    if kind == "address":
        try:
            IPv4Address(given if isinstance(given, str) else "")
        except ValueError:
            return "must be an IPv4 address"
        return None
    fits = isinstance(given, _TYPES[kind]) and (kind == "switch" or not isinstance(given, bool))
    if not fits:
        names = {"text": "a text", "whole": "a whole number", "number": "a number", "switch": "true or false"}
        return f"must be {names[kind]}"
    if spec.words and given not in spec.words:
        return f"must be one of {', '.join(spec.words)}"
    if isinstance(given, str) and spec.pattern and not re.fullmatch(spec.pattern, given):
        return f"must match {spec.pattern}"
    if isinstance(given, int | float) and not isinstance(given, bool):
        if spec.low is not None and given < spec.low:
            return f"must be at least {spec.low:g}"
        if spec.high is not None and given > spec.high:
            return f"must be at most {spec.high:g}"
    return None


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
