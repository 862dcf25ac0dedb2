"""What a test may turn on the simulated daemon: a JSON file beside the simulated driver; absent means defaults."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

DEFAULT_PATH = "/usr/local/Ascend/driver/.simulated-mindie.json"
PATH_VARIABLE = "SIMULATED_MINDIE_KNOBS"


class KnobError(Exception):
    """The knobs file is there and wrong: nothing of MindIE's, a mistake in the simulation's own set-up."""


@dataclass(frozen=True)
class Knobs:
    """Every knob with its default; seconds, MiB and GiB are in the names. Described in docs/simulator-mindie.md."""

    load_seconds: float = 6.0
    tokens_per_second: float = 60.0
    die_after_seconds: float | None = None
    die_on_load_fraction: float | None = None
    exit_status: int | None = None
    hang: bool = False
    never_register: bool = False
    refuse_chat: bool | int = False
    answer: str | None = None
    hbm_mib_per_npu: int = 65536
    # A process on a 64 GB card sees 60.97 GiB of it; the rest is the card's own.
    hbm_outside_mib: int = 3103
    weights_gib_per_npu: float | None = None
    workspace_gib: float = 4.0
    device_ips: dict[str, str] | None = None
    shm_free_mib: int | None = None
    # The real pauses: 5 s before the children are ended, up to 10 s before a refusal is reported (source 4.3, 1.1).
    stop_pause_seconds: float = 1.0
    child_grace_seconds: float = 15.0
    refuse_pause_seconds: float = 0.5
    # Real values (source 4.2).
    register_tries: int = 120
    register_pause_seconds: float = 1.0


def load(environ: Mapping[str, str]) -> Knobs:
    """The knobs of this host; the defaults when the file is absent. Raises KnobError for anything odd in it."""
    path = Path(environ.get(PATH_VARIABLE, DEFAULT_PATH))
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Knobs()
    except OSError as error:
        raise KnobError(f"{path}: {error}") from error
    try:
        data = json.loads(text)
    except ValueError as error:
        raise KnobError(f"{path}: not JSON: {error}") from error
    if not isinstance(data, dict):
        raise KnobError(f"{path}: an object is expected")
    return from_mapping(data, str(path))


def from_mapping(data: Mapping[str, object], where: str) -> Knobs:
    """Knobs from a mapping; null means the default. Raises KnobError for an unknown name or a wrong type."""
    hints = typing.get_type_hints(Knobs)
    known = {field.name for field in fields(Knobs)}
    chosen: dict[str, typing.Any] = {}
    for name, value in data.items():
        if name not in known:
            raise KnobError(f"{where}: unknown knob {name!r}; known: {', '.join(sorted(known))}")
        if value is None:
            continue
        if not _fits(value, hints[name]):
            raise KnobError(f"{where}: {name} = {value!r} has the wrong type")
        chosen[name] = value
    return Knobs(**chosen)


def _fits(value: object, hint: object) -> bool:
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for kind in kinds:
        if kind is bool and isinstance(value, bool):
            return True
        if kind is int and isinstance(value, int) and not isinstance(value, bool):
            return True
        if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
            return True
        if kind is str and isinstance(value, str):
            return True
        if typing.get_origin(kind) is dict and isinstance(value, dict):
            return all(isinstance(item, str) for pair in value.items() for item in pair)
    return False
