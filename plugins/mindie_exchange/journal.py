# SPDX-License-Identifier: Apache-2.0
"""What has arrived, on disk beside the partial files, so that a killed run goes on where it was.

A line for every range: name, offset, length, crc32. A line "#synced" says that everything before it is on the disk and
not only in the page cache; after a restart of the host what follows the last such line is read and compared first. A
line that was cut off does not count.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from typing import Iterable, NamedTuple

NAME = ".pieces"
SYNCED = "#synced"
BOOT = "#boot "
LARGEST = 256 * 1024 * 1024


class Range(NamedTuple):
    """Bytes of a file that were written. `sure`: they survive a power cut."""

    offset: int
    length: int
    crc: int
    sure: bool


def boot_id() -> str:
    """Returns the kernel's name for this run of the host."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as handle:
            return handle.read(64).strip()
    except OSError:
        return "unknown"


class Journal:
    """Appends to one journal. One writer only."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        self._append(BOOT + boot_id())

    def note(self, rows: Iterable[tuple[str, int, int, int]]) -> None:
        """Notes (name, offset, length, crc32) of ranges that were written."""
        self._append("\n".join("%s\t%d\t%d\t%08x" % row for row in rows))

    def synced(self) -> None:
        """Notes that all ranges noted so far are on the disk; the caller has seen to it."""
        os.fdatasync(self._number)
        self._append(SYNCED)
        os.fdatasync(self._number)

    def close(self) -> None:
        os.close(self._number)

    def _append(self, text: str) -> None:
        data = (text + "\n").encode("utf-8")
        while data:
            data = data[os.write(self._number, data) :]


def read(folder: str) -> dict[str, list[Range]]:
    """Returns the ranges of all journals in the folder by name of the file."""
    found: dict[str, list[Range]] = {}
    now = boot_id()
    for path in _paths(folder):
        lines = _lines(path)
        synced = max((number for number, line in enumerate(lines) if line == SYNCED), default=-1)
        boot = ""
        for number, line in enumerate(lines):
            if line.startswith(BOOT):
                boot = line[len(BOOT) :]
                continue
            parts = line.split("\t")
            if len(parts) != 4:
                continue
            try:
                name, offset, length, crc = parts[0], int(parts[1]), int(parts[2]), int(parts[3], 16)
            except ValueError:
                continue
            if offset >= 0 and length > 0 and 0 <= crc < 1 << 32:
                sure = number < synced or (boot == now and now != "unknown")
                found.setdefault(name, []).append(Range(offset, length, crc, sure))
    return found


def merge(folder: str, known: dict[str, list[Range]], keep: Iterable[str]) -> None:
    """Writes one journal in place of all that are there; only the files in `keep` still matter.

    `known` is what read() returned and the caller has looked through: ranges that are not sure any more are left out
    by the caller, the others are noted as they are.
    """
    path = os.path.join(folder, NAME)
    others = [one for one in _paths(folder) if one != path]
    new = path + ".new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    journal = Journal(new)
    try:
        for name in keep:
            rows = [(name, one.offset, one.length, one.crc) for one in known.get(name, ())]
            if rows:
                journal.note(rows)
    finally:
        journal.close()
    os.rename(new, path)
    for other in others:
        os.unlink(other)


def _paths(folder: str) -> list[str]:
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    return [os.path.join(folder, n) for n in names if n == NAME or (n.startswith(NAME + ".") and n != NAME + ".new")]


def _lines(path: str) -> list[str]:
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return []
    with os.fdopen(number, "rb") as handle:
        text = handle.read(LARGEST).decode("utf-8", "replace")
    # What follows the last line end was cut off while it was written.
    return text.split("\n")[:-1]


def still_there(path: str, rows: Iterable[Range]) -> list[Range]:
    """Returns the ranges whose bytes in the partial file at `path` are those that were written.

    A host that lost its power may have lost bytes that the journal knows of.
    """
    good = []
    try:
        number = os.open(path + ".partial", os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return []
    with os.fdopen(number, "rb", buffering=0) as handle:
        for one in rows:
            handle.seek(one.offset)
            value, left = 0, one.length
            while left:
                block = handle.read(min(left, 1024 * 1024))
                if not block:
                    break
                value, left = zlib.crc32(block, value), left - len(block)
            if not left and value == one.crc:
                good.append(one._replace(sure=True))
    return good
