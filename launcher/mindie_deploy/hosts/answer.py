"""What one item of a collection came back with, whatever the host sent.

The collection crosses a network from a host that may be broken: every field is checked for its type here, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mindie_deploy.hosts.facts import Unknown
from mindie_deploy.hosts.text import excerpt

LARGEST = 2**63 - 1  # what a host counts: sizes, inodes, identifiers
LATEST = 4_102_444_800.0  # the year 2100, in seconds since 1970


@dataclass(frozen=True)
class Answer:
    """The end of a command: its exit status and both streams. Times in seconds."""

    status: int
    stdout: str
    stderr: str = ""
    truncated: bool = False
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """Both streams, standard output first."""
        return f"{self.stdout}\n{self.stderr}"

    def failure(self, what: str) -> Unknown:
        """Returns why the answer is no value: the status and the first words of the program."""
        words = excerpt(self.stderr) or excerpt(self.stdout) or "it printed nothing"
        return Unknown(f"{what} ended with status {self.status}: {words}")


@dataclass(frozen=True)
class FileText:
    """A file that was read, as far as its limit allowed."""

    path: str
    text: str
    truncated: bool = False


@dataclass(frozen=True)
class Missing:
    """A path that does not exist: an answer, and for some files the normal one."""

    path: str


def entry(collection: Mapping[str, object], key: str) -> Mapping[str, object] | Unknown:
    """Returns the item of a key as it came, or why there is none."""
    items = collection.get("items")
    item = items.get(key) if isinstance(items, Mapping) else None
    if item is None:
        return Unknown(f"{key} was not collected")
    if not isinstance(item, Mapping):
        return Unknown(f"{key}: the answer has no readable form")
    return item


def command(collection: Mapping[str, object], key: str) -> Answer | Unknown:
    """Returns how a command ended, or why it has no end that says anything."""
    item = entry(collection, key)
    if isinstance(item, Unknown):
        return item
    status = number_of(item.get("status"))
    if item.get("error") or item.get("timed_out"):
        return Unknown(f"{key}: {text_of(item.get('error')) or 'no answer in time'}")
    if status is None:
        return Unknown(f"{key}: the answer has no exit status")
    return Answer(
        status=status,
        stdout=finished_lines(text_of(item.get("stdout"))),
        stderr=text_of(item.get("stderr")),
        truncated=item.get("truncated") is True,
        seconds=seconds_of(item.get("seconds")) or 0.0,
    )


def finished_lines(text: str) -> str:
    """Returns what a program printed without a last line that it did not end: half a number is another number."""
    return text[: text.rfind("\n") + 1]


def file_text(collection: Mapping[str, object], key: str) -> FileText | Missing | Unknown:
    """Returns the text of a file, that it is missing, or why that is not known."""
    item = entry(collection, key)
    if isinstance(item, Unknown):
        return item
    path = text_of(item.get("path")) or key
    if item.get("exists") is False:
        return Missing(path)
    if item.get("error") or item.get("timed_out"):
        return Unknown(f"{path}: {text_of(item.get('error')) or 'no answer in time'}")
    text = item.get("text")
    if not isinstance(text, str):
        return Unknown(f"{path}: the answer has no text")
    return FileText(path, text, item.get("truncated") is True)


def text_of(value: object) -> str:
    """Returns a text, or an empty one for anything else."""
    return value if isinstance(value, str) else ""


def number_of(value: object) -> int | None:
    """Returns a whole number, or None for anything else: a truth value, or more than any host can count."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST else None


def seconds_of(value: object) -> float | None:
    """Returns a duration or a time since 1970 in seconds, or None for anything else, also for times after 2100."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value < LATEST else None
