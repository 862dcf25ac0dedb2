# SPDX-License-Identifier: Apache-2.0
"""Proves files while they arrive: one thread computes the sha256 of every file right behind its pieces, and the crc32
of its parts that is kept with a proof."""

from __future__ import annotations

import hashlib
import os
import queue
import threading
import zlib
from typing import Any, Callable, Iterator

from mindie_exchange.layout import Segment
from mindie_exchange.plan import File
from mindie_exchange.share import Share
from mindie_exchange.store import BLOCK, Store, trouble
from mindie_exchange.sums import NAME, Sums, note_sums

# So many pieces may wait in memory to be hashed; beyond that they are read back from the page cache.
MOST_WAITING = 8
# So many files that are right get their names together: many small ones are quicker so.
MOST_UNNAMED = 256


class _State:
    def __init__(self) -> None:
        self.at = 0
        self.digest = hashlib.sha256()
        self.sums = Sums()

    def take(self, view: memoryview, crc: int | None = None) -> None:
        self.digest.update(view)
        self.sums.take(view, crc)
        self.at += len(view)


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
        # files that have their sha256 and not yet their name, with the crc32 of their parts
        self._right: dict[int, list[int]] = {}
        self._sums_path = os.path.join(share.plan.place.incoming, "%s.%d" % (NAME, share.number))
        self.naming = threading.Lock()
        self._positions = {
            file: {segment.offset: (piece, segment) for piece, segment in rows}
            for file, rows in share.pieces_of.items()
        }

    @property
    def busy(self) -> bool:
        return self._queue.qsize() >= MOST_WAITING

    def offer(
        self,
        file: int,
        offset: int,
        view: memoryview | None,
        release: Callable[[], None] | None,
        crc: int | None = None,
    ) -> None:
        """Says that a range of the file is written; `view` holds its bytes until release() is called.

        `crc`: their crc32, where it is known.
        """

        def go_on() -> None:
            try:
                self._go_on(file, offset, view, crc)
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
        self._right.pop(file, None)

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

    def _go_on(self, file: int, offset: int, view: memoryview | None, crc: int | None) -> None:
        if self._store.ready(file) or file in self._right:
            return
        state = self._states.setdefault(file, _State())
        if view is not None and offset == state.at:
            state.take(view, crc)
        one = self._share.plan.files[file]
        while state.at < one.size:
            piece, segment = self._positions[file][state.at]
            if not self._have[piece]:
                return
            for block in blocks_of(self._store, segment):
                state.take(block)
        if not self._is_whole(file):
            return
        del self._states[file]
        if state.digest.hexdigest() == one.sha256:
            self._right[file] = state.sums.all()
        else:
            self._tell("wrong", file, self._crcs(file))

    def _is_whole(self, file: int) -> bool:
        return all(self._have[piece] for piece, _segment in self._share.pieces_of[file])

    def _give_names(self) -> None:
        """Gives the files that are right their names; what broke in the meantime is not named."""
        with self.naming:
            files = [file for file in sorted(self._right) if self._is_whole(file)]
            rows = [(self._share.plan.files[file], self._right[file]) for file in files]
            self._right.clear()
            try:
                self._note_sums(rows)
                self._store.finish(files)
            except Exception as error:
                self._tell("failed", files[0], error)
                return
        for file in files:
            self._tell("proven", file, None)

    def _note_sums(self, rows: list[tuple[File, list[int]]]) -> None:
        """Before the names: a file that has its name is not read again."""
        try:
            if rows:
                note_sums(self._sums_path, rows)
        except OSError as error:
            raise trouble(self._sums_path, error) from None

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
