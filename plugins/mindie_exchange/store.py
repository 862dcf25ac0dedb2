# SPDX-License-Identifier: Apache-2.0
"""The files of one lane on the disk: complete ones, and partial ones that are being written."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import threading
import zlib
from collections import OrderedDict
from typing import Iterator, Sequence

from mindie_exchange.journal import Range
from mindie_exchange.layout import Piece, Segment
from mindie_exchange.plan import File, Place

PARTIAL = ".partial"
FILE_MODE = 0o640
DIRECTORY_MODE = 0o750
BLOCK = 1024 * 1024
# So many files are kept open although nobody reads or writes them at the moment.
MOST_IDLE = 128
KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE of linux/falloc.h


class StoreError(Exception):
    """The disk does not give or take what it must; something to tell the operator."""


class DiskFullError(StoreError):
    """Nothing more fits."""


class _Handle:
    def __init__(self, number: int) -> None:
        self.number = number
        self.users = 0
        self.stale = False


class Store:
    """Reads and writes ranges of files. Safe for threads."""

    def __init__(self, place: Place, files: Sequence[File]) -> None:
        self.place = place
        self.files = files
        self._ready: set[int] = set()  # proven and renamed in `incoming`
        self._lock = threading.Lock()
        self._handles: OrderedDict[tuple[int, bool], _Handle] = OrderedDict()
        self._allocated: set[int] = set()

    def complete(self, file: int) -> bool:
        """Whether the file stands in its final directory, proven."""
        return self.files[file].name in self.place.complete

    def ready(self, file: int) -> bool:
        """Whether the file was brought and proven."""
        return file in self._ready

    def adopt(self, file: int) -> None:
        """Takes the file in `incoming` for proven."""
        self._ready.add(file)

    def partial(self, file: int) -> str:
        return os.path.join(self.place.incoming, self.files[file].name + PARTIAL)

    def arrived(self, file: int) -> str:
        return os.path.join(self.place.incoming, self.files[file].name)

    def path(self, file: int) -> str:
        """Returns where the bytes of the file are now."""
        if self.complete(file):
            return os.path.join(self.place.final, self.files[file].name)
        return self.arrived(file) if file in self._ready else self.partial(file)

    @contextlib.contextmanager
    def using(self, file: int, write: bool = False) -> Iterator[int]:
        """Gives a descriptor of the file for as long as the block lasts. Raises StoreError."""
        handle = self.take(file, write)
        try:
            yield handle.number
        finally:
            self.give_back(handle)

    def take(self, file: int, write: bool = False) -> _Handle:
        """Returns the open file; give_back() must follow. Raises StoreError."""
        with self._lock:
            handle = self._handles.get((file, write))
            if handle is None:
                handle = _Handle(self._open(file, write))
                self._handles[(file, write)] = handle
                self._close_idle()
            self._handles.move_to_end((file, write))
            handle.users += 1
            return handle

    def give_back(self, handle: _Handle) -> None:
        with self._lock:
            handle.users -= 1
            if handle.stale and not handle.users:
                os.close(handle.number)

    def _close_idle(self) -> None:
        idle = [key for key, handle in self._handles.items() if not handle.users]
        for key in idle[: max(0, len(self._handles) - MOST_IDLE)]:
            os.close(self._handles.pop(key).number)

    def _forget(self, file: int) -> None:
        for write in (False, True):
            handle = self._handles.pop((file, write), None)
            if handle is not None:
                handle.stale = True
                if not handle.users:
                    os.close(handle.number)

    def _open(self, file: int, write: bool) -> int:
        path = self.path(file)
        try:
            if not write:
                flags = os.O_RDONLY | (0 if self.complete(file) else os.O_NOFOLLOW)
                return os.open(path, flags | os.O_CLOEXEC)
            make_folders(self.place.incoming, os.path.dirname(path))
            number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            if file not in self._allocated:
                self._allocated.add(file)
                allocate(number, self.files[file].size)
            return number
        except OSError as error:
            raise trouble(path, error) from None

    def read_into(self, segment: Segment, view: memoryview) -> None:
        """Fills the view (of the segment's length) from the disk. Raises StoreError."""
        path = self.path(segment.file)
        with self.using(segment.file) as number:
            at = 0
            while at < segment.length:
                try:
                    count = os.preadv(number, [view[at : at + BLOCK]], segment.offset + at)
                except OSError as error:
                    raise trouble(path, error) from None
                if not count:
                    raise StoreError("%s is shorter than it was" % path)
                at += count

    def write(self, segment: Segment, view: memoryview) -> None:
        """Writes the view at the segment's place. Raises StoreError, DiskFullError."""
        with self.using(segment.file, write=True) as number:
            at = 0
            while at < segment.length:
                try:
                    at += os.pwrite(number, view[at : at + 4 * BLOCK], segment.offset + at)
                except OSError as error:
                    raise trouble(self.partial(segment.file), error) from None

    def sync(self, file: int) -> None:
        """Sees to it that what was written survives a power cut. Raises StoreError."""
        if file in self._ready:
            return
        with self.using(file, write=True) as number:
            try:
                os.fdatasync(number)
            except OSError as error:
                raise trouble(self.partial(file), error) from None

    def finish(self, file: int) -> str:
        """Gives a proven file its mode, owner and name in `incoming`; returns the path. Raises StoreError."""
        partial, arrived = self.partial(file), self.arrived(file)
        try:
            make_folders(self.place.incoming, os.path.dirname(partial))
            number = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                os.ftruncate(number, self.files[file].size)
                os.fchmod(number, FILE_MODE)
                if self.place.owner is not None and os.geteuid() == 0:
                    os.fchown(number, self.place.owner, -1 if self.place.group is None else self.place.group)
                os.fsync(number)
            finally:
                os.close(number)
            os.rename(partial, arrived)
        except OSError as error:
            raise trouble(partial, error) from None
        with self._lock:
            self._ready.add(file)
            self._forget(file)
        return arrived


def make_folders(root: str, folder: str) -> None:
    """Makes the folder below root."""
    if not os.path.isdir(folder):
        os.makedirs(folder, mode=DIRECTORY_MODE, exist_ok=True)


def allocate(number: int, size: int) -> None:
    """Takes the room for a file at once, where the filesystem can, so that a full disk is found early.

    Raises OSError with ENOSPC or EDQUOT. os.posix_fallocate would write zeros where the filesystem cannot.
    """
    if not size:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate(number, KEEP_SIZE, ctypes.c_int64(0), ctypes.c_int64(size)):
        reason = ctypes.get_errno()
        if reason in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise OSError(reason, os.strerror(reason))


def trouble(path: str, error: OSError) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError("the disk of %s is full" % path)
    return StoreError("%s: %s" % (path, error.strerror or error))


def crc_of(segments: Sequence[Segment], view: memoryview) -> tuple[int, list[int]]:
    """Returns the crc32 of a piece and of each of its segments; the view holds them one after the other."""
    if len(segments) == 1:
        whole = zlib.crc32(view)
        return whole, [whole]
    parts, at = [], 0
    for segment in segments:
        parts.append(zlib.crc32(view[at : at + segment.length]))
        at += segment.length
    return zlib.crc32(view), parts


def covered(piece: Piece, names: Sequence[File], ranges: dict[str, list[Range]]) -> tuple[bool, int]:
    """Returns whether ranges that were written hold the whole piece, and its crc32 if that is known, else 0."""
    exact = 0
    for segment in piece.segments:
        at, end = segment.offset, segment.offset + segment.length
        for one in sorted(ranges.get(names[segment.file].name, ())):
            if (one.offset, one.length) == (segment.offset, segment.length):
                # A later line about the same range stands for a later writing.
                exact = one.crc if len(piece.segments) == 1 else 0
            if one.offset > at:
                break
            at = max(at, one.offset + one.length)
        if at < end:
            return False, 0
    return True, exact
