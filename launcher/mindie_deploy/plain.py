"""Plain values from the ones that Ansible hands to plugins."""

from __future__ import annotations

import json
from typing import Any


def plain(value: Any) -> Any:
    """Returns the same data in plain dict, list, str, int, float, bool and None.

    Ansible's variables are subclasses of these (tagged, lazily templated, unsafe), which strict schemas and equality
    of types trip over. A mapping's keys become text, as in JSON. Raises TypeError for data that JSON cannot carry.
    """
    return json.loads(json.dumps(_unwrapped(value)))


def _unwrapped(value: Any) -> Any:
    """Rebuilds containers, since lazy ones are not what json takes for a dict or a list."""
    if isinstance(value, dict):
        return {str(key): _unwrapped(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_unwrapped(item) for item in value]
    return value
