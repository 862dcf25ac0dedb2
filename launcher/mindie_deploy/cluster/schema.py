"""How a setting is declared: a typed field with its meaning, unit, range, and the reason of its default.

Everything a reader needs stands in the declaration, because three readers use it: the validation (its messages name
the rule), the commented inventory (see reference.py) and the command line.
"""

from __future__ import annotations

import re
import types
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

PREFIX = "mindie_"


class SettingGroup(BaseModel):
    """Settings of one subject. Strict: the text "8" and 8.0 are not the number 8, 1 is not true."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True, protected_namespaces=()
    )

    TITLE: ClassVar[str] = ""


def setting(
    default: Any,
    meaning: str,
    *,
    unit: str = "",
    why: str = "",
    accepts: str = "",
    example: str = "",
    ge: float | None = None,
    le: float | None = None,
    gt: float | None = None,
    secret: bool = False,
) -> Any:
    """Declares a setting.

    `meaning` is one or two sentences, `unit` the unit of a number, `why` the reason and source of the default,
    `accepts` the accepted values in words where type and bounds do not say it all, `example` a YAML value.
    A list or dictionary as default is copied for every model. A `secret` is in no dump of the settings and in no
    message: who needs it takes it from the attribute, or from the Ansible variable.
    """
    description = f"{meaning} Unit: {unit}." if unit else meaning
    extra: dict[str, Any] = {"unit": unit, "why": why, "accepts": accepts, "example": example}
    if isinstance(default, list | dict):
        return Field(default_factory=default.copy, description=description, json_schema_extra=extra)
    hidden: dict[str, Any] = {"exclude": True, "repr": False} if secret else {}
    return Field(default, description=description, json_schema_extra=extra, ge=ge, le=le, gt=gt, **hidden)


def note(field: FieldInfo, name: str) -> str:
    """Returns one of the texts given to setting(): "unit", "why", "accepts" or "example"."""
    extra = field.json_schema_extra
    return str(extra.get(name, "")) if isinstance(extra, dict) else ""


def rule_text(field: FieldInfo) -> str:
    """Says which values a field accepts: "a whole number from 1024 to 65535"."""
    accepts = note(field, "accepts")
    if accepts:
        return accepts
    kind = _type_text(field.annotation)
    low, high, above = (_bound(field, name) for name in ("ge", "le", "gt"))
    if above is not None and high is not None:
        return f"{kind} above {_number(above)}, at most {_number(high)}"
    if low is not None and high is not None:
        return f"{kind} from {_number(low)} to {_number(high)}"
    if low is not None:
        return f"{kind}, at least {_number(low)}"
    return kind


def _bound(field: FieldInfo, name: str) -> float | None:
    for constraint in field.metadata:
        value = getattr(constraint, name, None)
        if value is not None:
            return float(value)
    return None


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def _type_text(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Literal:
        return "one of " + ", ".join(_choice(choice) for choice in get_args(annotation))
    if origin in (Union, types.UnionType):
        return " or ".join(_type_text(part) for part in get_args(annotation))
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    if annotation in words:
        return words[annotation]
    return "a list" if origin is list else "a dictionary"


def _choice(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def join(words: Sequence[str]) -> str:
    """Joins words as in a sentence: "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def match(pattern: re.Pattern[str], value: str, group: type[SettingGroup], name: str) -> str:
    """Returns value if it fits; raises ValueError with the words of the setting's `accepts`."""
    if not pattern.fullmatch(value):
        extra = group.model_fields[name].json_schema_extra
        raise ValueError(f"must be {extra['accepts'] if isinstance(extra, dict) else pattern.pattern}")
    return value
