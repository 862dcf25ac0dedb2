"""Keeps secrets out of everything that a run writes.

Ansible hides what is marked no_log. What is left are values that only their names give away: passwords in inventory
variables, tokens in `mindie_environment`, and the controller's own environment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

HIDDEN = "********"
SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)?$|password|passphrase|secret|token$|api_?key|access_?key|credential|vault_pass",
    re.IGNORECASE,
)
# Settings whose names look secret and whose values are not: numbers of tokens, paths of files.
NOT_SECRET_NAME = re.compile(r"(_file|_path|_tokens|_timeout)$|^mindie_.*token", re.IGNORECASE)
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


def is_secret_name(name: str) -> bool:
    """Tells whether a variable of this name holds a secret."""
    return bool(SECRET_NAME.search(name)) and not NOT_SECRET_NAME.search(name)


def secrets_of(variables: Mapping[str, object], *, inside_secret: bool = False) -> Iterator[str]:
    """Yields the values of variables with secret names, however deep they lie."""
    for name, value in variables.items():
        secret = inside_secret or is_secret_name(str(name))
        if isinstance(value, Mapping):
            yield from secrets_of(value, inside_secret=secret)
        elif isinstance(value, str):
            if secret:
                yield str(value)
        elif isinstance(value, Sequence):
            yield from secrets_of({f"{name}.{index}": item for index, item in enumerate(value)}, inside_secret=secret)


# What looks like a secret in the text of others: logs, configurations, what hosts printed.
_FOREIGN = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"(?i)(://[^\s/:@\"']*):[^\s/@\"']+@"), rf"\1:{HIDDEN}@"),
    (
        re.compile(
            r"(?i)([\w.-]*(?:password|passwd|passphrase|secret|api_?key|access_?key|credential|auth_?token|"
            r"access_?token|hf_token)[\w.-]*[\"']?\s*[=:]\s*[\"']?)([^\s\"',}\]]{4,})"
        ),
        rf"\1{HIDDEN}",
    ),
)


def scrub(text: str) -> str:
    """Returns text without what looks like a secret: private keys, passwords in addresses, tokens behind their names.

    For text that others wrote and that leaves the house; it hides rather too much than too little.
    """
    for pattern, hidden in _FOREIGN:
        text = pattern.sub(hidden, text)
    return text
