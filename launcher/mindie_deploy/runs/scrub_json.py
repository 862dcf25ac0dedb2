"""Takes what looks like a secret out of JSON documents, which stay JSON: their texts are changed, not their text."""

from __future__ import annotations

import json
from collections.abc import Callable

from mindie_deploy.cluster.secret_names import kind_of
from mindie_deploy.runs.redaction import HIDDEN
from mindie_deploy.runs.scrub import scrub, scrub_value

LEAST_NUMBER = 1000  # a smaller number behind the name of a secret is a count or a switch


def scrub_document(value: object, redact: Callable[[str], str] = str) -> object:
    """Returns a JSON value without what looks like a secret, also in JSON that its texts hold.

    `redact` takes known secrets out of a text. Raises RecursionError for nesting beyond reason.
    """
    return _Scrubber(redact).value("", value)


def scrub_json(text: str, redact: Callable[[str], str] = str) -> str:
    """Returns a JSON text without what looks like a secret; a text that is no JSON is scrubbed as such.

    `redact` takes known secrets out of a text. What holds no secret comes back as it was.
    """
    return _Scrubber(redact).text(text)


class _Scrubber:
    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact

    def value(self, name: str, value: object, *, secret: bool = False) -> object:
        """Scrubs a value by the name that it has; `secret`: it lies within one that its name calls a secret."""
        if isinstance(value, str):
            return self._string("password" if secret else name, value)
        if isinstance(value, dict):
            # A variable may be spelled out: {"name": "TOKEN", "value": "..."}.
            spelled = value.get("name", value.get("key"))
            found = {}
            for key, item in value.items():
                own = spelled if key == "value" and isinstance(spelled, str) else str(key)
                inside = secret or kind_of(own) == "secret"
                found[self.text(key) if isinstance(key, str) else key] = self.value(own, item, secret=inside)
            return found
        if isinstance(value, list):
            return self._list(name, value, secret=secret)
        if secret and isinstance(value, int) and not isinstance(value, bool) and abs(value) >= LEAST_NUMBER:
            return HIDDEN
        return value

    def text(self, text: str) -> str:
        """Scrubs a text that may be JSON, or hold lines that are."""
        whole = self._json(text)
        if whole is not None:
            return whole
        if "\n" not in text.strip() or ("{" not in text and "[" not in text):
            return scrub(self._redact(text))
        parts, plain = [], ""
        for line in text.splitlines(keepends=True):
            told = self._json(line)
            if told is None:
                plain += line
                continue
            parts += [scrub(self._redact(plain)), told]
            plain = ""
        return "".join([*parts, scrub(self._redact(plain))])

    def _list(self, name: str, values: list[object], *, secret: bool) -> list[object]:
        """Scrubs a list; in a command line the value of an option stands behind it."""
        found = []
        option = ""
        for value in values:
            found.append(
                self.value(option or name, value, secret=secret or (bool(option) and kind_of(option) == "secret"))
            )
            option = value if isinstance(value, str) and value.startswith("--") and "=" not in value else ""
        return found

    def _string(self, name: str, text: str) -> str:
        if kind_of(name) is not None:
            hidden = scrub_value(name, self._redact(text))
            if hidden != text:
                return hidden
        return self.text(text)

    def _json(self, text: str) -> str | None:
        """Scrubs a text that is a JSON object or list; None for any other."""
        body = text.strip()
        if body[:1] not in ("{", "["):
            return None
        twice: list[str] = []

        def paired(pairs: list[tuple[str, object]]) -> dict[str, object]:
            told = dict(pairs)
            twice.extend([""] * (len(pairs) - len(told)))
            return told

        try:
            told = json.loads(body, object_pairs_hook=paired)
            found = self.value("", told)
            if found == told and not twice:
                return text
            # ASCII: half a character of UTF-16 could not be written otherwise.
            return text.replace(body, json.dumps(found, indent=1 if "\n" in body else None), 1)
        except (ValueError, RecursionError):
            return None
