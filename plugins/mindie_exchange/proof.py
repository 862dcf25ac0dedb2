# SPDX-License-Identifier: Apache-2.0
"""Proves files while they arrive: one thread computes the sha256 of every file right behind its pieces."""

from __future__ import annotations

import hashlib
import queue
import threading
import zlib
from array import array
from typing import Any, Callable

from mindie_exchange.layout import Piece, Segment
from mindie_exchange.plan import File
from mindie_exchange.store import BLOCK, Store, StoreError

# So many pieces may wait in memory to be hashed; beyond that they are read back from the page cache.
MOST_WAITING = 8


class _State:
    def __init__(self) -> None:
        self.at = 0
        self.digest = hashlib.sha256()


class Prover(threading.Thread):
    """Calls `tell(kind, file, value)` from its thread: ("proven", file, None) when a file has its sha256 and stands in
    the incoming directory; ("wrong", file, broken) when it has another one, with the pieces that are not on the disk
    as they came; ("failed", file, StoreError).
    """

    def __init__(
        self,
        store: Store,
        files: list[File],
        pieces: list[Piece],
        have: bytearray,
        crcs: array[int],
        tell: Callable[[str, int, Any], None],
    ) -> None:
        super().__init__(name="prover", daemon=True)
        self._store, self._files, self._pieces = store, files, pieces
        self._have, self._crcs, self._tell = have, crcs, tell
        self._queue: queue.Queue[tuple[int, int, memoryview | None, Callable[[], None] | None] | None] = queue.Queue()
        self._states: dict[int, _State] = {}
        # by file, its pieces in order with the place of the segment
        self.pieces_of: dict[int, list[tuple[int, Segment]]] = {}
        for number, piece in enumerate(pieces):
            for segment in piece.segments:
                self.pieces_of.setdefault(segment.file, []).append((number, segment))
        self._positions = {
            file: {segment.offset: (number, segment) for number, segment in rows}
            for file, rows in self.pieces_of.items()
        }

    @property
    def busy(self) -> bool:
        return self._queue.qsize() >= MOST_WAITING

    def offer(self, file: int, offset: int, view: memoryview | None, release: Callable[[], None] | None) -> None:
        """Says that a range of the file is written; `view` holds its bytes until release() is called."""
        self._queue.put((file, offset, view, release))

    def stop(self) -> None:
        self._queue.put(None)

    def run(self) -> None:
        while True:
            item = self._queue.get()
            if item is None:
                return
            file, offset, view, release = item
            try:
                self._go_on(file, offset, view)
            except StoreError as error:
                self._tell("failed", file, error)
            finally:
                if release is not None:
                    release()

    def _go_on(self, file: int, offset: int, view: memoryview | None) -> None:
        if self._store.ready(file):
            return
        state = self._states.setdefault(file, _State())
        if view is not None and offset == state.at:
            state.digest.update(view)
            state.at += len(view)
        size = self._files[file].size
        while state.at < size:
            number, segment = self._positions[file][state.at]
            if not self._have[number]:
                return
            self._read(segment, state.digest.update)
            state.at += segment.length
        del self._states[file]
        if state.digest.hexdigest() == self._files[file].sha256:
            self._store.finish(file)
            self._tell("proven", file, None)
        else:
            self._tell("wrong", file, self._broken(file))

    def _read(self, segment: Segment, take: Callable[[Any], Any]) -> None:
        block = memoryview(bytearray(min(BLOCK, segment.length)))
        for begin in range(0, segment.length, BLOCK):
            part = Segment(segment.file, segment.offset + begin, min(BLOCK, segment.length - begin))
            self._store.read_into(part, block[: part.length])
            take(block[: part.length])

    def _broken(self, file: int) -> list[int]:
        """Returns the pieces of the file that are on the disk with other bytes than they came with."""
        broken = []
        for number, _segment in self.pieces_of[file]:
            value = 0

            def add(block: memoryview) -> None:
                nonlocal value
                value = zlib.crc32(block, value)

            for segment in self._pieces[number].segments:
                self._read(segment, add)
            if self._crcs[number] and value != self._crcs[number]:
                broken.append(number)
        return broken
