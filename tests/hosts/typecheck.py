"""Tells whether a value really has the type that a dataclass or a function declares."""

from __future__ import annotations

import types
from dataclasses import fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints


def mismatch(value: object, annotation: Any, where: str = "value") -> str | None:
    """Returns where a value departs from its annotation, or None. Looks into dataclasses, tuples and mappings."""
    origin = get_origin(annotation)
    if annotation is Any or annotation is object:
        return None
    if origin in (Union, types.UnionType):
        problems = [mismatch(value, option, where) for option in get_args(annotation)]
        return None if None in problems else problems[0]
    if annotation is None or annotation is type(None):
        return None if value is None else f"{where} is not None"
    if origin is tuple:
        if not isinstance(value, tuple):
            return f"{where} is no tuple"
        options = get_args(annotation)
        if len(options) == 2 and options[1] is Ellipsis:
            options = (options[0],) * len(value)
        elif len(options) != len(value):
            return f"{where} has {len(value)} parts"
        found = (mismatch(part, option, f"{where}[]") for part, option in zip(value, options, strict=True))
        return next((problem for problem in found if problem), None)
    if origin is dict:
        if not isinstance(value, dict):
            return f"{where} is no mapping"
        key_type, item_type = get_args(annotation)
        found = (
            mismatch(k, key_type, f"{where} key") or mismatch(v, item_type, f"{where}[{k}]") for k, v in value.items()
        )
        return next((problem for problem in found if problem), None)
    if annotation is float:
        return None if type(value) in (int, float) else f"{where} is {value!r}, no number"
    # bool is no int here; of our own values a special kind of one is one (Absent of Unknown).
    if not isinstance(value, annotation) if is_dataclass(annotation) else type(value) is not annotation:
        return f"{where} is {type(value).__name__}, not {annotation.__name__}"
    if is_dataclass(annotation):
        hints = get_type_hints(annotation)
        found = (
            mismatch(getattr(value, field.name), hints[field.name], f"{annotation.__name__}.{field.name}")
            for field in fields(annotation)
        )
        return next((problem for problem in found if problem), None)
    return None
