# SPDX-License-Identifier: Apache-2.0
"""What has arrived, on disk beside the partial files, so that a killed run goes on where it was.

A line for every range: name, offset, length, crc32, or "lost" in its place when the bytes turned out to be broken; no
range that has some of them counts any more then. A line "#synced N" says that what the first N bytes of this journal
tell is on the disk and not only in the page cache; after a restart of the host everything else is read and compared
before it is believed. A line that was cut off does not count.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import zlib
from typing import Iterable, NamedTuple

from mindie_exchange.plan import PARTIAL

NAME = ".pieces"
SYNCED = "#synced "
BOOT = "#boot "
LOST = "lost"
LARGEST = 256 * 1024 * 1024
BLOCK = 1024 * 1024


class Range(NamedTuple):
    """Bytes of a file that were written. `synced`: they survive a power cut. `sure`: they can be read now."""

    offset: int
    length: int
    crc: int
    synced: bool
    sure: bool


def boot_id() -> str:
    """Returns the kernel's name for this run of the host, or "" where it has none."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as handle:
            return handle.read(64).strip()
    except OSError:
        return ""


class Journal:
    """Appends to one journal. One thread may note while another one calls synced(). All methods raise OSError."""

    def __init__(self, path: str) -> None:
        self.path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._number = os.open(path, flags, 0o600)
        # The line end is for a line that was cut off when the last writer died.
        self._append("\n" + BOOT + boot_id())

    def note(self, rows: Iterable[tuple[str, int, int, int]]) -> None:
        """Notes (name, offset, length, crc32) of ranges that were written."""
        self._append("\n".join("%s\t%d\t%d\t%08x" % row for row in rows))

    def note_lost(self, rows: Iterable[tuple[str, int, int]]) -> None:
        """Notes (name, offset, length) of ranges that do not count any more."""
        self._append("\n".join("%s\t%d\t%d\t" % row + LOST for row in rows))

    def position(self) -> int:
        """Returns what synced() is to be told when everything noted up to now has been synced."""
        return os.fstat(self._number).st_size

    def synced(self, position: int) -> None:
        """Notes that the ranges noted before `position` are on the disk; the caller has seen to it."""
        self.flush()
        self._append(SYNCED + str(position))
        self.flush()

    def flush(self) -> None:
        """Sees to it that the journal itself survives a power cut."""
        os.fdatasync(self._number)

    def close(self) -> None:
        os.close(self._number)

    def _append(self, text: str) -> None:
        data = (text + "\n").encode("utf-8")
        while data:
            data = data[os.write(self._number, data) :]


def read(folder: str) -> dict[str, list[Range]]:
    """Returns the ranges of all journals in the folder by name of the file, older ones first."""
    found: dict[str, dict[tuple[int, int], Range]] = {}
    for path in _paths(folder):
        _read_one(path, found)
    return {name: list(ranges.values()) for name, ranges in found.items()}


def _read_one(path: str, found: dict[str, dict[tuple[int, int], Range]]) -> None:
    now = boot_id()
    boot, position, synced = "", 0, 0
    # where the line of a range ends that is the last one about it
    ends: dict[tuple[str, int, int], int] = {}
    for raw in _lines(path):
        position += len(raw) + 1
        line = raw.decode("utf-8", "replace")
        name, *numbers = line.split("\t")
        if not numbers:
            if line.startswith(BOOT):
                boot = line[len(BOOT) :]
            elif line.startswith(SYNCED) and line[len(SYNCED) :].isdecimal():
                # A marker speaks of what stands before it.
                synced = max(synced, min(int(line[len(SYNCED) :]), position))
            continue
        row = _row(numbers)
        if row is None:
            continue
        offset, length, crc = row
        ranges = found.setdefault(name, {})
        # A later line about the same range stands for a later writing.
        ranges.pop((offset, length), None)
        ends.pop((name, offset, length), None)
        if crc is None:
            # Pieces may have been of another size when they came.
            for one in [one for one in ranges.values() if _overlaps(one, offset, length)]:
                del ranges[(one.offset, one.length)]
                ends.pop((name, one.offset, one.length), None)
        else:
            ranges[(offset, length)] = Range(offset, length, crc, False, bool(boot) and boot == now)
            ends[(name, offset, length)] = position
    for (name, offset, length), end in ends.items():
        if end <= synced:
            ranges = found[name]
            ranges[(offset, length)] = ranges[(offset, length)]._replace(synced=True, sure=True)


def _row(numbers: list[str]) -> tuple[int, int, int | None] | None:
    """Returns (offset, length, crc32 or None when lost), or None for a line that is none of ours."""
    if len(numbers) != 3 or not (numbers[0].isdecimal() and numbers[1].isdecimal()):
        return None
    offset, length, crc = int(numbers[0]), int(numbers[1]), numbers[2]
    if not length or not (crc == LOST or re.match("[0-9a-f]{8}$", crc)):
        return None
    return offset, length, None if crc == LOST else int(crc, 16)


def _overlaps(one: Range, offset: int, length: int) -> bool:
    return one.offset < offset + length and offset < one.offset + one.length


def merge(folder: str, known: dict[str, list[Range]], keep: Iterable[str]) -> None:
    """Writes one journal in place of all that are there; only the files in `keep` still matter. Raises OSError.

    `known` is what read() returned and believed() went through.
    """
    path = os.path.join(folder, NAME)
    others = [one for one in _paths(folder) if one != path]
    new = path + ".new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    journal = Journal(new)
    try:
        names = list(keep)
        for synced in (True, False):
            for name in names:
                rows = [(name, one.offset, one.length, one.crc) for one in known.get(name, ()) if one.synced is synced]
                if rows:
                    journal.note(rows)
            if synced:
                # Without what is written here nothing of the earlier runs would be known.
                journal.synced(journal.position())
        journal.flush()
    finally:
        journal.close()
    os.rename(new, path)
    sync_folder(folder)
    for other in others:
        os.unlink(other)


def sync_folder(folder: str) -> None:
    """Sees to it that the names in a folder survive a power cut. Raises OSError."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _paths(folder: str) -> list[str]:
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    return [os.path.join(folder, n) for n in names if n == NAME or (n.startswith(NAME + ".") and n != NAME + ".new")]


def _lines(path: str) -> list[bytes]:
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    with os.fdopen(number, "rb") as handle:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            return []
        data = handle.read(LARGEST)
    # What follows the last line end was cut off while it was written.
    return data.split(b"\n")[:-1]


def believed(folder: str, known: dict[str, list[Range]]) -> dict[str, list[Range]]:
    """Returns the ranges that are sure, and those whose bytes in the partial file are those that were written.

    A host that lost its power may have lost bytes that the journal knows of.
    """
    result = {}
    for name, ranges in known.items():
        path = os.path.join(folder, name + PARTIAL)
        result[name] = [one for one in ranges if one.sure] + still_there(path, [one for one in ranges if not one.sure])
    return result


def still_there(path: str, ranges: Iterable[Range]) -> list[Range]:
    """Returns the ranges whose bytes in the file at `path` have the crc32 that was noted."""
    good = []
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    with os.fdopen(number, "rb", buffering=0) as handle:
        for one in ranges:
            try:
                if _crc_of(handle.fileno(), one) == one.crc:
                    good.append(one._replace(sure=True))
            except OSError:
                continue  # what cannot be read is brought again
    return good


def _crc_of(number: int, one: Range) -> int | None:
    value, at, end = 0, one.offset, one.offset + one.length
    while at < end:
        block = os.pread(number, min(end - at, BLOCK), at)
        if not block:
            return None
        value, at = zlib.crc32(block, value), at + len(block)
    return value
