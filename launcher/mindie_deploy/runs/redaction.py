"""Keeps secrets out of everything that a run writes.

Ansible hides what is marked no_log. What is left are values that only their names give away: passwords in inventory
variables, tokens in `mindie_environment`, and the controller's own environment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from mindie_deploy.cluster.secret_names import is_secret_name, kind_of

HIDDEN = "********"
# Shorter values would hide pieces of ordinary words and numbers.
SHORTEST = 4


class Redactor:
    """Replaces known secrets in text, as they are and as JSON writes them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms: set[str] = set()
        for secret in secrets:
            if len(secret) < SHORTEST:
                continue
            for line in (secret, *secret.splitlines()):
                if len(line) >= SHORTEST:
                    forms |= {line, json.dumps(line)[1:-1], json.dumps(line, ensure_ascii=False)[1:-1]}
        # Longest first: one secret may be a part of another.
        self._pattern = re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))
        self._empty = not forms

    def __call__(self, text: str) -> str:
        return text if self._empty else self._pattern.sub(HIDDEN, text)

    def json(self, text: str, indent: int | None = None) -> str:
        """Replaces them in the texts of a JSON document, which stays one: in a number they would break it.

        `indent` is that of json.dumps. Raises ValueError for a text that is no JSON.
        """
        return text if self._empty else json.dumps(_replaced(json.loads(text), self), indent=indent, ensure_ascii=False)


def secrets_of(variables: Mapping[str, object], *, inside_secret: bool = False) -> Iterator[str]:
    """Yields the values of variables with secret names, however deep they lie, and the logins of proxies."""
    for name, value in variables.items():
        secret = inside_secret or is_secret_name(str(name))
        if isinstance(value, Mapping):
            yield from secrets_of(value, inside_secret=secret)
        elif isinstance(value, str):
            if secret:
                yield str(value)
            elif kind_of(str(name)) == "proxy" and "@" in value:
                yield value.rpartition("@")[0].rpartition("//")[2]
        elif isinstance(value, Sequence):
            yield from secrets_of({f"{name}.{index}": item for index, item in enumerate(value)}, inside_secret=secret)


def _replaced(value: object, change: Callable[[str], str]) -> object:
    """Returns a JSON value with all its texts changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(key): _replaced(item, change) for key, item in value.items()}
    return [_replaced(item, change) for item in value] if isinstance(value, list) else value
