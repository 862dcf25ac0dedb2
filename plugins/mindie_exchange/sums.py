# SPDX-License-Identifier: Apache-2.0
"""The crc32 of every 8 MiB of the files that are proven, left for who gives them their place: a sample of the weights
compares with them, and a broken file is mended by them.

In the format of plugins/module_utils/mindie_weights_pieces.py. Every line ends with its own crc32, so that one that was
cut off, or lost with the power, counts as none; then the file is proven all the same, and only a sample misses it.
"""

from __future__ import annotations

import os
import zlib
from typing import Iterable

from mindie_exchange.plan import File

# In the incoming directory, with the number of the lane behind it.
NAME = ".sums"
PIECE = 8 * 1024 * 1024


class Sums:
    """The crc32 of the pieces of a content, which is taken from its first byte to its last one."""

    def __init__(self) -> None:
        self._done: list[int] = []
        self._value = self._length = 0

    def take(self, view: memoryview, crc: int | None = None) -> None:
        """Takes the next bytes. `crc`: their crc32 where it is known, which spares computing it for a whole piece."""
        if crc is not None and not self._length and len(view) == PIECE:
            self._done.append(crc)
            return
        while view:
            part = view[: PIECE - self._length]
            self._value = zlib.crc32(part, self._value)
            self._length += len(part)
            if self._length == PIECE:
                self._done.append(self._value)
                self._value = self._length = 0
            view = view[len(part) :]

    def all(self) -> list[int]:
        """Returns the crc32 of all pieces of what was taken."""
        return [*self._done, self._value] if self._length else self._done


def note_sums(path: str, rows: Iterable[tuple[File, list[int]]]) -> None:
    """Adds lines of files that are proven. Raises OSError."""
    # The line end is for a line that was cut off when the last writer died.
    data = ("\n" + "".join(_line(file, sums) for file, sums in rows)).encode()
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        while data:
            data = data[os.write(number, data) :]
    finally:
        os.close(number)


def _line(file: File, sums: list[int]) -> str:
    text = "%s\t%d\t%d\t%s\t" % (file.sha256, file.size, PIECE, "".join("%08x" % value for value in sums))
    return "%s%08x\n" % (text, zlib.crc32(text.encode()))
