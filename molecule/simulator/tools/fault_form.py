"""What a named fault is, and how its changes are made in a host's state.

A path names fields from the top, `npus.{npu}` the NPU with that id, `npus.*` all of them, a `+` at its end appends to a
list. A value may be a function of the context. `run` and `undo` are commands for the host itself, for what a state file
cannot enact; `{npu}` and `{host}` in their words are replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Context(NamedTuple):
    """Where a fault happens: the host, the NPU, and the full states of all hosts."""

    host: str
    npu: int
    states: Mapping[str, Mapping[str, Any]]

    def npu_state(self) -> Mapping[str, Any]:
        """The NPU's state before the fault."""
        return next(npu for npu in self.states[self.host]["npus"] if npu["id"] == self.npu)


Value = Any | Callable[[Context], Any]
Commands = tuple[tuple[str, ...], ...]


class Fault(NamedTuple):
    """One named fault; `check` is the id of the check of the product that should report it, "" where none looks."""

    description: str
    check: str
    changes: tuple[tuple[str, Value], ...] = ()
    run: Commands = ()
    undo: Commands = ()


class FaultError(Exception):
    """A fault cannot be applied or taken back; the message says why and what to do."""


def edit(raw: dict[str, Any], fault: Fault, context: Context) -> None:
    """Makes the fault's changes in what a state file says."""
    for template, value in fault.changes:
        made = value(context) if callable(value) else value
        path = template.format(npu=context.npu).split(".")
        for place, key in _places(raw, path):
            if key.endswith("+"):
                place.setdefault(key[:-1], []).append(made)
            else:
                place[key] = made


def placed(commands: Commands, host: str, npu: int) -> Commands:
    """The commands of a fault for the place where it happens."""
    return tuple(
        tuple(word.replace("{npu}", str(npu)).replace("{host}", host) for word in command) for command in commands
    )


def _places(raw: dict[str, Any], path: list[str]) -> list[tuple[dict[str, Any], str]]:
    """The mappings that hold the last name of the path, made when missing; `npus.*` is all of them."""
    *front, last = path
    places: list[Any] = [raw]
    for name in front:
        following: list[Any] = []
        for place in places:
            if isinstance(place, list):
                following += [entry for entry in place if name in ("*", str(entry.get("id", 0)))]
            else:
                if place.get(name) is None:
                    place[name] = [] if name == "npus" else {}
                following.append(place[name])
        places = following
    return [(place, last) for place in places]
