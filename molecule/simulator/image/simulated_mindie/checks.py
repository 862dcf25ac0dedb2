"""Strict JSON reading in the way of MindIE's parameter checker: types are never converted (source 1.3)."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Say = Callable[[str], None]

INTEGERS = {"int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1)}
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)")


class RefusedError(Exception):
    """config.json or the rank table is refused; the complaint lines were already said."""


@dataclass(frozen=True)
class Field:
    """One key: its JSON type, whether it must be there, its value when absent, and its range (inclusive)."""

    name: str
    kind: str
    required: bool = True
    default: Any = None
    low: int | None = None
    high: int | None = None
    choices: tuple[Any, ...] = ()


def say_on_stdout(text: str) -> None:
    """Complaints go to stdout (source 4.1 step 2)."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def parse_json(text: str) -> Any:
    """Strict JSON: no NaN, no comments, no trailing commas. Raises ValueError."""

    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def type_name(value: object) -> str:
    """The name that the real parser's JSON library gives to the type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def of_kind(value: object, kind: str) -> bool:
    """Whether a value has exactly the JSON type, and an integer fits its width."""
    if kind in INTEGERS:
        low, high = INTEGERS[kind]
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    wanted = {"string": str, "bool": bool, "object": dict, "array": list}[kind]
    return isinstance(value, wanted)


def read(section: str, data: Mapping[str, Any], fields: Sequence[Field], say: Say) -> dict[str, Any]:
    """The values of all `fields`; raises RefusedError after saying every missing key and wrong type of this section."""
    values: dict[str, Any] = {}
    sound = True
    for field in fields:
        if field.name not in data:
            if field.required:
                say(f"[ParamChecker::CheckJsonParamType] {field.name}: missing compulsory field")
                sound = False
            values[field.name] = field.default
            continue
        value = data[field.name]
        if not of_kind(value, field.kind):
            if field.kind in INTEGERS and isinstance(value, int) and not isinstance(value, bool):
                say(f"The value of param {field.name} for {field.kind} is invalid.")
            else:
                say(f"The type of param {field.name} should be {field.kind}, but got {type_name(value)}")
            sound = False
        values[field.name] = value
    if not sound:
        raise RefusedError(f"Failed to initialize {section} from JSON.")
    return values


def in_range(values: Mapping[str, Any], fields: Sequence[Field], say: Say) -> bool:
    """Whether all values lie in their ranges and choices; says those that do not. Absent optional ones pass."""
    sound = True
    for field in fields:
        value = values[field.name]
        if value is None:
            continue
        if (field.low is not None and value < field.low) or (field.high is not None and value > field.high):
            say(f"Parameter {field.name} should be in [{field.low}, {_top(field)}], but got {value}.")
            sound = False
        if field.choices and value not in field.choices:
            allowed = ", ".join(str(choice) for choice in field.choices)
            say(f"Parameter {field.name} should be one of [{allowed}], but got {value}.")
            sound = False
    return sound


def _top(field: Field) -> int:
    return field.high if field.high is not None else INTEGERS[field.kind][1]


def is_address(text: str) -> bool:
    """IPv4, or IPv6 with or without brackets; never a host name (source 1.3)."""
    if _IPV4.fullmatch(text):
        return True
    import ipaddress  # late: most processes never see an IPv6 address

    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        ipaddress.IPv6Address(bare)
    except ValueError:
        return False
    return True


def address_allowed(name: str, address: str, say: Say, *, zero: bool) -> bool:
    """Whether `address` is an IP address, and not the unspecified one unless `zero`."""
    if not is_address(address):
        say(f"Input {name} [{address}] format is invalid (neither IPv4 nor IPv6)")
        return False
    if not zero and address.strip("[]") in ("0.0.0.0", "::"):
        say(f"Input {name} [{address}] is invalid")
        return False
    return True
