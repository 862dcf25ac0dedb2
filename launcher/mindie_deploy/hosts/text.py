"""Text of programs made regular, and the two plain forms most of it has: `key : value` records and KEY=VALUE files."""

from __future__ import annotations

import ipaddress
import re

ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]")
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def clean(text: str) -> str:
    """Returns the text without colour codes, carriage returns, control characters and a byte order mark."""
    text = ESCAPES.sub("", text.replace("\r\n", "\n").removeprefix("\ufeff"))
    return CONTROLS.sub("", text.replace("\r", "\n"))


def lines_of(text: str) -> list[str]:
    """Returns the cleaned lines, without trailing blanks.

    Only line feeds end a line: str.splitlines would also split at characters that a name may contain.
    """
    return [line.rstrip() for line in clean(text).split("\n")]


def excerpt(text: str, limit: int = 160) -> str:
    """Returns the first line that says something, cut to a length that fits into a message."""
    for line in lines_of(text):
        if line.strip():
            line = line.strip()
            return line if len(line) <= limit else line[: limit - 3] + "..."
    return ""


def records(text: str) -> list[tuple[str, str]]:
    """Returns the `key : value` lines in order; keys repeat, and an empty key continues the value before it."""
    pairs = []
    for line in lines_of(text):
        key, colon, value = line.partition(":")
        if colon:
            pairs.append((key.strip(), value.strip()))
    return pairs


def assignments(text: str) -> dict[str, str]:
    """Returns the KEY=VALUE lines of a file, without quotes around values; the last of the same key counts.

    Other lines (comments, a heading from another file) are passed over.
    """
    found = {}
    for line in lines_of(text):
        key, sign, value = line.partition("=")
        key = key.strip()
        if sign and key and not key.startswith("#") and " " not in key:
            value = value.strip()
            if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
                value = value[1:-1]
            found[key] = value
    return found


def whole(text: str) -> int | None:
    """Returns a whole number of plain ASCII digits, or None. Longer than 18 digits is no measurement."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def is_ipv4(text: str) -> bool:
    """Tells whether the text is an IPv4 address in the usual form."""
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return text.isascii()
