# SPDX-License-Identifier: Apache-2.0
"""Keeps what has arrived: the journal of a lane, and the syncs that make it survive a power cut."""

from __future__ import annotations

import os
from typing import Iterable

from mindie_exchange.journal import NAME, Journal
from mindie_exchange.layout import Segment
from mindie_exchange.share import Share
from mindie_exchange.store import Store, trouble
from mindie_exchange.threads import Threads

SYNC_EVERY_S = 5.0
SYNC_EVERY_BYTES = 1024 * 1024 * 1024


class Keeping:
    """All methods raise StoreError."""

    def __init__(self, share: Share, store: Store, threads: Threads, now: float) -> None:
        self._share, self._store, self._threads = share, store, threads
        self._path = os.path.join(share.plan.place.incoming, "%s.%d" % (NAME, share.number))
        self._unsynced: set[int] = set()
        self._unsynced_bytes = 0
        self._syncing = False
        self._last_sync = now
        self._journal: Journal | None = None
        if not share.plan.place.read_only:
            try:
                self._journal = Journal(self._path)
            except OSError as error:
                raise trouble(self._path, error) from None

    def note(self, written: Iterable[tuple[Segment, int]]) -> None:
        """Notes segments that were written, each with its crc32."""
        rows = []
        for segment, crc in written:
            rows.append((self._share.name(segment.file), segment.offset, segment.length, crc))
            self._unsynced.add(segment.file)
            self._unsynced_bytes += segment.length
        if rows and self._journal is not None:
            try:
                self._journal.note(rows)
            except OSError as error:
                raise trouble(self._path, error) from None

    def note_lost(self, segments: Iterable[Segment]) -> None:
        """Notes segments that do not count any more."""
        rows = [(self._share.name(segment.file), segment.offset, segment.length) for segment in segments]
        if rows and self._journal is not None:
            try:
                self._journal.note_lost(rows)
            except OSError as error:
                raise trouble(self._path, error) from None

    def forget(self, file: int) -> None:
        """The file is proven, and was synced before it got its name."""
        self._unsynced.discard(file)

    def tick(self, now: float) -> None:
        """Begins a sync when it is time for one."""
        due = now - self._last_sync > SYNC_EVERY_S or self._unsynced_bytes > SYNC_EVERY_BYTES
        if self._syncing or not self._unsynced or not due or self._journal is None:
            return
        journal, files = self._journal, self._unsynced
        self._unsynced, self._unsynced_bytes = set(), 0
        self._syncing, self._last_sync = True, now
        # What is noted from here on is not covered: it may be written while the disk is busy with the rest.
        position = journal.position()

        def sync() -> None:
            for file in files:
                self._store.sync(file)
            try:
                journal.synced(position)
            except OSError as error:
                raise trouble(self._path, error) from None

        self._threads.run("sync", sync, self._synced)

    def _synced(self, _nothing: None) -> None:
        self._syncing = False
