# SPDX-License-Identifier: Apache-2.0
"""Proves files while they arrive: one thread computes the sha256 of every file right behind its pieces."""

from __future__ import annotations

import hashlib
import queue
import threading
import zlib
from typing import Any, Callable, Iterator

from mindie_exchange.layout import Segment
from mindie_exchange.share import Share
from mindie_exchange.store import BLOCK, Store

# So many pieces may wait in memory to be hashed; beyond that they are read back from the page cache.
MOST_WAITING = 8
# So many files that are right get their names together: many small ones are quicker so.
MOST_UNNAMED = 256


class _State:
    def __init__(self) -> None:
        self.at = 0
        self.digest = hashlib.sha256()


class Prover(threading.Thread):
    """Calls `tell(kind, file, value)` from its thread: ("proven", file, None) when a file has its sha256 and stands in
    the incoming directory; ("wrong", file, crcs) when it has another one, with the crc32 of each of its pieces as they
    are on the disk; ("failed", file, exception).

    `have`: the flags of the lane's pieces, which the loop sets. Who clears one must hold `naming`, so that no file gets
    its name in that moment, and call restart() afterwards.
    """

    def __init__(self, share: Share, store: Store, have: bytearray, tell: Callable[[str, int, Any], None]) -> None:
        super().__init__(name="prover", daemon=True)
        self._share, self._store, self._have, self._tell = share, store, have, tell
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._states: dict[int, _State] = {}
        # files that have their sha256 and not yet their name
        self._right: set[int] = set()
        self.naming = threading.Lock()
        self._positions = {
            file: {segment.offset: (piece, segment) for piece, segment in rows}
            for file, rows in share.pieces_of.items()
        }

    @property
    def busy(self) -> bool:
        return self._queue.qsize() >= MOST_WAITING

    def offer(self, file: int, offset: int, view: memoryview | None, release: Callable[[], None] | None) -> None:
        """Says that a range of the file is written; `view` holds its bytes until release() is called."""

        def go_on() -> None:
            try:
                self._go_on(file, offset, view)
            except Exception as error:
                self._tell("failed", file, error)
            finally:
                if release is not None:
                    release()

        self._queue.put(go_on)

    def restart(self, file: int) -> None:
        """Forgets what was computed of a file and begins again, from the disk."""
        self._queue.put(lambda: self._forget(file))
        self.offer(file, 0, None, None)

    def _forget(self, file: int) -> None:
        self._states.pop(file, None)
        self._right.discard(file)

    def stop(self) -> None:
        self._queue.put(None)

    def run(self) -> None:
        while True:
            work = self._queue.get()
            if work is None:
                return
            work()
            if self._right and (self._queue.empty() or len(self._right) >= MOST_UNNAMED):
                self._give_names()

    def _go_on(self, file: int, offset: int, view: memoryview | None) -> None:
        if self._store.ready(file) or file in self._right:
            return
        state = self._states.setdefault(file, _State())
        if view is not None and offset == state.at:
            state.digest.update(view)
            state.at += len(view)
        one = self._share.plan.files[file]
        while state.at < one.size:
            piece, segment = self._positions[file][state.at]
            if not self._have[piece]:
                return
            self._read(segment, state.digest.update)
            state.at += segment.length
        if not self._is_whole(file):
            return
        del self._states[file]
        if state.digest.hexdigest() == one.sha256:
            self._right.add(file)
        else:
            self._tell("wrong", file, self._crcs(file))

    def _is_whole(self, file: int) -> bool:
        return all(self._have[piece] for piece, _segment in self._share.pieces_of[file])

    def _give_names(self) -> None:
        """Gives the files that are right their names; what broke in the meantime is not named."""
        with self.naming:
            files = [file for file in sorted(self._right) if self._is_whole(file)]
            self._right.clear()
            try:
                self._store.finish(files)
            except Exception as error:
                self._tell("failed", files[0], error)
                return
        for file in files:
            self._tell("proven", file, None)

    def _read(self, segment: Segment, take: Callable[[Any], Any]) -> None:
        for block in blocks_of(self._store, segment):
            take(block)

    def _crcs(self, file: int) -> dict[int, int]:
        return {piece: self._crc(piece) for piece, _segment in self._share.pieces_of[file]}

    def _crc(self, piece: int) -> int:
        value = 0
        for segment in self._share.pieces[piece].segments:
            for block in blocks_of(self._store, segment):
                value = zlib.crc32(block, value)
        return value


def blocks_of(store: Store, segment: Segment) -> Iterator[memoryview]:
    """Yields the bytes of a segment in blocks; each is valid until the next one. Raises StoreError."""
    memory = memoryview(bytearray(min(BLOCK, segment.length)))
    for begin in range(0, segment.length, BLOCK):
        part = Segment(segment.file, segment.offset + begin, min(BLOCK, segment.length - begin))
        store.read_into(part, memory[: part.length])
        yield memory[: part.length]


def sha256_of(store: Store, file: int, size: int) -> str:
    """Returns the sha256 in hex of a whole file as it is on the disk. Raises StoreError."""
    digest = hashlib.sha256()
    for block in blocks_of(store, Segment(file, 0, size)):
        digest.update(block)
    return digest.hexdigest()
