"""A stream that gives no more than it may: what an archive of a stranger unpacks to is known only by unpacking it."""

from __future__ import annotations

import tarfile
from typing import Protocol

CHUNK = 1024 * 1024
ROOM = tarfile.RECORDSIZE  # of a tar file's own blocks around a member


def too_large(total: int) -> str:
    """Returns the words for more than `total` bytes together."""
    return f"all that is in it together is too large (more than {total} bytes)"


class Readable(Protocol):
    """A stream of bytes, such as a file."""

    def read(self, size: int, /) -> bytes: ...


class Limited:
    """Reads forwards only, as tarfile does. Limits in bytes: of one read, and of all together.

    Every method raises tarfile.ReadError where a limit is passed, before the memory is taken.
    """

    def __init__(self, stream: Readable, largest_read: int, largest_total: int) -> None:
        self._stream, self._largest_read, self._largest_total = stream, largest_read, largest_total
        self._place = 0

    def read(self, size: int) -> bytes:
        """Returns the next bytes, fewer at the end of the stream."""
        if not 0 <= size <= self._largest_read + ROOM:
            raise tarfile.ReadError(f"a part of it is too large ({size} bytes)")
        content = self._stream.read(size)
        self._place += len(content)
        if self._place > self._largest_total:
            raise tarfile.ReadError(too_large(self._largest_total))
        return content

    def tell(self) -> int:
        """Returns how many bytes were read."""
        return self._place

    def seek(self, place: int) -> int:
        """Reads up to a place, or to the end."""
        if place < self._place:
            raise tarfile.ReadError("its parts are not one behind the other")
        while self._place < place and self.read(min(CHUNK, self._largest_read, place - self._place)):
            pass
        return self._place
