# SPDX-License-Identifier: Apache-2.0
"""The files of one lane on the disk: complete ones, and partial ones that are being written."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import threading
import zlib
from collections import OrderedDict, deque
from typing import Callable, Iterator, Sequence

from mindie_exchange.layout import Segment
from mindie_exchange.plan import PARTIAL, File, Place

FILE_MODE = 0o640
DIRECTORY_MODE = 0o750
BLOCK = 1024 * 1024
# When twice as many files are open, those that nobody reads or writes are closed down to so many.
MOST_IDLE = 128
# The room for a smaller file is not taken before it is written: it comes in one or two writes, and is one of many.
ALLOCATED = BLOCK
# So many small files are synced at once: the filesystem's journal is written once for all that wait for it.
SYNCING = 8
KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE of linux/falloc.h
SYNC_FILE_RANGE_WRITE = 2  # of linux/fs.h
LIBC = ctypes.CDLL(None, use_errno=True)
FULL = (errno.ENOSPC, errno.EDQUOT)


class StoreError(Exception):
    """The disk does not give or take what it must; something to tell the operator. `number`: the errno, or 0."""

    def __init__(self, text: str, number: int = 0) -> None:
        super().__init__(text)
        self.number = number


class DiskFullError(StoreError):
    """Nothing more fits."""


class Handle:
    """An open file: its descriptor, and how many use it."""

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
        self._handles: OrderedDict[tuple[int, bool], Handle] = OrderedDict()
        self._allocated: set[int] = set()
        self._folders: set[str] = set()

    def complete(self, file: int) -> bool:
        """Whether the file stands in its final directory, proven."""
        return self.files[file].name in self.place.complete

    def ready(self, file: int) -> bool:
        """Whether the file was brought and proven."""
        return file in self._ready

    def adopt(self, file: int) -> bool:
        """Takes the file in `incoming` for proven, if it is there; only proven files get that name."""
        if is_file(self.arrived(file), self.files[file].size):
            self._ready.add(file)
        return file in self._ready

    def partial(self, file: int) -> str:
        return os.path.join(self.place.incoming, self.files[file].name + PARTIAL)

    def arrived(self, file: int) -> str:
        return os.path.join(self.place.incoming, self.files[file].name)

    def path(self, file: int) -> str:
        """Returns where the bytes of the file are now."""
        if self.complete(file):
            return os.path.join(self.place.final, self.files[file].name)
        return self.arrived(file) if file in self._ready else self.partial(file)

    # open files

    @contextlib.contextmanager
    def using(self, file: int, write: bool = False) -> Iterator[int]:
        """Gives a descriptor of the file for as long as the block lasts. Raises StoreError."""
        handle = self.take(file, write)
        try:
            yield handle.number
        finally:
            self.give_back(handle)

    def take(self, file: int, write: bool = False) -> Handle:
        """Returns the open file; give_back() must follow. `write` makes a partial file. Raises StoreError."""
        with self._lock:
            return self._take(file, write)

    def _take(self, file: int, write: bool) -> Handle:
        # What is open for writing can be read too.
        key = (file, True) if (file, True) in self._handles else (file, write)
        handle = self._handles.get(key)
        if handle is None:
            handle = Handle(self._open(file, write))
            self._handles[key] = handle
            self._close_idle()
        self._handles.move_to_end(key)
        handle.users += 1
        return handle

    def give_back(self, handle: Handle) -> None:
        with self._lock:
            handle.users -= 1
            if handle.stale and not handle.users:
                os.close(handle.number)

    def _close_idle(self) -> None:
        if len(self._handles) < 2 * MOST_IDLE:
            return
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
            if self.complete(file) or file in self._ready:
                raise StoreError("%s is proven and is not written to" % path)
            folder = os.path.dirname(path)
            if folder not in self._folders:
                make_folders(self.place.incoming, folder)
                self._folders.add(folder)
            number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise trouble(path, error) from None
        if self.files[file].size >= ALLOCATED and file not in self._allocated:
            try:
                allocate(number, self.files[file].size)
            except OSError as error:
                os.close(number)
                raise trouble(path, error) from None
            self._allocated.add(file)
        return number

    # bytes

    def read_into(self, segment: Segment, view: memoryview) -> None:
        """Fills the view (of the segment's length) from the disk. Raises StoreError."""
        with self.using(segment.file) as number:
            at = 0
            while at < segment.length:
                try:
                    count = os.preadv(number, [view[at : at + BLOCK]], segment.offset + at)
                except OSError as error:
                    raise trouble(self.path(segment.file), error) from None
                if not count:
                    raise StoreError("%s is shorter than it was" % self.path(segment.file))
                at += count

    def read_all_into(self, segments: Sequence[Segment], view: memoryview) -> None:
        """Fills the view with the segments, one after the other. Raises StoreError."""
        at = 0
        for segment in segments:
            self.read_into(segment, view[at : at + segment.length])
            at += segment.length

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
        with self._lock:
            # A file that is ready was synced before it got its name; nothing may make a partial file beside it.
            if file in self._ready or self.complete(file):
                return
            handle = self._take(file, True)
        try:
            os.fdatasync(handle.number)
        except OSError as error:
            raise trouble(self.partial(file), error) from None
        finally:
            self.give_back(handle)

    # names

    def finish(self, files: Sequence[int]) -> None:
        """Gives proven files their mode, owner and name in `incoming`. Raises StoreError."""
        for file in files:
            self._with(file, self._make_ready)
        # None of them changes any more, so one commit of the filesystem's journal does for many.
        self._sync_all(files)
        for file in files:
            with self._lock:
                try:
                    os.rename(self.partial(file), self.arrived(file))
                except OSError as error:
                    raise trouble(self.partial(file), error) from None
                self._ready.add(file)
                self._forget(file)

    def _sync_all(self, files: Sequence[int]) -> None:
        """Sees to it that all the files survive a power cut. Raises StoreError."""
        left = deque(files)
        troubles: list[Exception] = []

        def sync() -> None:
            # Each thread takes the next one; after a failure none is begun.
            while not troubles:
                try:
                    file = left.popleft()
                except IndexError:
                    return
                try:
                    self._with(file, lambda number, _file: os.fsync(number))
                except Exception as error:
                    troubles.append(error)

        helpers = [threading.Thread(target=sync, daemon=True) for _ in range(min(SYNCING, len(files) // 4) - 1)]
        for helper in helpers:
            helper.start()
        sync()
        for helper in helpers:
            helper.join()
        if troubles:
            raise troubles[0]

    def _with(self, file: int, work: Callable[[int, int], None]) -> None:
        with self.using(file, write=True) as number:
            try:
                work(number, file)
            except OSError as error:
                raise trouble(self.partial(file), error) from None

    def _make_ready(self, number: int, file: int) -> None:
        place, unchanged = self.place, -1
        if os.fstat(number).st_size != self.files[file].size:
            os.ftruncate(number, self.files[file].size)
        os.fchmod(number, FILE_MODE)
        if (place.owner, place.group) != (None, None) and os.geteuid() == 0:
            owner = unchanged if place.owner is None else place.owner
            os.fchown(number, owner, unchanged if place.group is None else place.group)
        begin_writeback(number)

    def reopen(self, file: int) -> None:
        """Takes the name of a file away that was proven and is broken now. Raises StoreError."""
        with self._lock:
            try:
                os.rename(self.arrived(file), self.partial(file))
            except OSError as error:
                raise trouble(self.arrived(file), error) from None
            self._ready.discard(file)
            self._forget(file)


def is_file(path: str, size: int | None = None) -> bool:
    """Whether a regular file (no link to one) is there, of that size if one is given."""
    try:
        info = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(info.st_mode) and size in (None, info.st_size)


def make_folders(root: str, folder: str) -> None:
    """Makes the folder, which is root or below it. Raises OSError, also where a link would lead out of root."""
    path = root
    os.makedirs(root, mode=DIRECTORY_MODE, exist_ok=True)
    for part in os.path.relpath(folder, root).split(os.sep):
        if part == os.curdir:
            continue
        path = os.path.join(path, part)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, DIRECTORY_MODE)
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "%s is no directory" % path)


def allocate(number: int, size: int) -> None:
    """Takes the room for a file at once, where the filesystem can, so that a full disk is found early.

    Raises OSError with ENOSPC or EDQUOT. os.posix_fallocate would write zeros where the filesystem cannot.
    """
    if not size:
        return
    if LIBC.fallocate(number, KEEP_SIZE, ctypes.c_int64(0), ctypes.c_int64(size)):
        reason = ctypes.get_errno()
        if reason in FULL or reason == errno.EFBIG:
            raise OSError(reason, os.strerror(reason))


def begin_writeback(number: int) -> None:
    """Lets the kernel begin to write a file to the disk. Where it cannot, fsync does all of it later."""
    LIBC.sync_file_range(number, ctypes.c_int64(0), ctypes.c_int64(0), SYNC_FILE_RANGE_WRITE)


def free_bytes(path: str) -> int:
    """Returns how many bytes may still be written where the path is. Raises OSError."""
    room = os.statvfs(path)
    return room.f_frsize * (room.f_bfree if os.geteuid() == 0 else room.f_bavail)


def taken_bytes(path: str) -> int:
    """Returns how much of the disk a regular file takes, 0 where there is none."""
    try:
        info = os.lstat(path)
    except OSError:
        return 0
    return info.st_blocks * 512 if stat.S_ISREG(info.st_mode) else 0


def trouble(path: str, error: OSError) -> StoreError:
    """Returns what to tell the operator about an error of the disk."""
    number = error.errno or 0
    if number in FULL:
        why = "the quota is used up" if number == errno.EDQUOT else "nothing more fits"
        return DiskFullError(
            "the disk of %s is full (%s): make room and start the sync again, what has arrived is kept" % (path, why),
            number,
        )
    if number == errno.ELOOP:
        return StoreError("%s is a symbolic link, where a file of the transfer must be: remove it" % path, number)
    return StoreError("%s: %s" % (path, error.strerror or error), number)


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
