# SPDX-License-Identifier: Apache-2.0
"""Pieces from outside of the exchange: a directory that several hosts see (a mount), or a server.

Every member that can read the origin has a share of the pieces, so that each byte is read once in all; who has read
its own share helps those that are slower, from the end of theirs.
"""

from __future__ import annotations

import functools
import os
import time
from typing import Any, Callable, Sequence

from mindie_exchange.layout import Piece
from mindie_exchange.ledger import Ledger
from mindie_exchange.origin_error import OriginError
from mindie_exchange.plan import Plan, PlanError
from mindie_exchange.store import BLOCK, Store, StoreError, crc_of
from mindie_exchange.threads import Pool

# So many pieces in a row belong to one member: a disk and a server like it better than single ones.
RUN = 8
AT_ONCE = {"directory": 2, "http": 4}
PAUSE_AFTER_FAILURE_S = 5.0
# What was passed because somebody had it or it was on its way is looked at again so often: it may have been lost.
LOOK_AGAIN_S = 5.0


class DirectoryOrigin:
    """Files below a directory of this host."""

    def __init__(self, path: str, sizes: dict[str, int]) -> None:
        self._path, self._sizes = path, sizes

    def read_into(self, name: str, offset: int, view: memoryview) -> None:
        """Fills the view with the file's bytes from offset. Raises OriginError."""
        path = os.path.join(self._path, name)
        try:
            number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                found = os.fstat(number).st_size
                if found != self._sizes[name]:
                    raise OriginError(
                        "%s has %d bytes and the manifest says %d" % (path, found, self._sizes[name]), final=True
                    )
                at = 0
                while at < len(view):
                    count = os.preadv(number, [view[at : at + BLOCK]], offset + at)
                    if not count:
                        raise OriginError("%s became shorter while it was read" % path, final=True)
                    at += count
            finally:
                os.close(number)
        except OSError as error:
            raise OriginError("%s: %s" % (path, error.strerror or error)) from None


def open_origin(plan: Plan) -> tuple[Any, str, list[int]] | None:
    """Returns (origin, kind, members that read it), or None when this member reads none. Raises PlanError."""
    spec = plan.origin
    if not spec:
        return None
    names = [member.name for member in plan.members]
    members = spec.get("members")
    if not isinstance(members, list) or not members or not set(map(str, members)) <= set(names):
        raise PlanError("origin: members names somebody who is no member")
    readers = sorted(names.index(name) for name in members)
    if plan.me not in readers:
        return None
    sizes = {file.name: file.size for file in plan.files}
    if spec.get("kind") == "directory" and isinstance(spec.get("path"), str):
        return DirectoryOrigin(spec["path"], sizes), "directory", readers
    if spec.get("kind") == "http":
        # Here and not above: what HTTP needs is a good part of the start-up, and most runs need none of it.
        from mindie_exchange.hub import HttpOrigin

        return HttpOrigin(dict(spec, sizes=sizes)), "http", readers
    raise PlanError("origin is of the unknown kind %r" % (spec.get("kind"),))


class OriginWork:
    """Reads pieces from the origin of one lane, each by a thread. All methods but the threads' run in the loop.

    `failed` says why nothing more can come, `trouble` what is wrong at the moment.
    """

    def __init__(
        self,
        plan: Plan,
        pieces: Sequence[Piece],
        ledger: Ledger,
        store: Store,
        post: Callable[[Callable[[], None]], None],
        buffer: Callable[[], bytearray],
        wanted: Callable[[int], bool],
    ) -> None:
        self._plan, self._pieces, self._ledger, self._store = plan, pieces, ledger, store
        self._post, self._buffer, self._wanted = post, buffer, wanted
        self.source: Any = None
        self.read_bytes = 0
        self.trouble = ""
        self.failed = ""
        self._active: set[int] = set()
        self._paused_until = 0.0
        found = open_origin(plan)
        if found is None:
            return
        self.source, kind, self._readers = found
        self._at_once = AT_ONCE[kind]
        self._threads = Pool(self._at_once, "origin")
        self._shares: dict[int, list[int]] = {reader: [] for reader in self._readers}
        for piece in range(len(pieces)):
            self._shares[self._readers[piece // RUN % len(self._readers)]].append(piece)
        self._looked_again = time.monotonic()
        self._look_again()

    def _look_again(self) -> None:
        # how far our own share is begun with from its front, and those of others from their ends
        self._cursor = 0
        self._tails = {reader: len(share) for reader, share in self._shares.items()}

    def go_on(self, written: Callable[[int, memoryview, int, list[int]], None]) -> None:
        """Begins to read as many pieces as may be read at once."""
        if self.source is None or time.monotonic() < self._paused_until:
            return
        while len(self._active) < self._at_once:
            piece = self._next()
            if piece is None:
                return
            self._active.add(piece)
            self._ledger.expect_from_origin(piece)
            self._threads.submit(functools.partial(self._read, piece, written))

    def _free(self, piece: int) -> bool:
        return not self._ledger.have[piece] and not self._ledger.holders[piece] and piece not in self._ledger.pending

    def _next(self) -> int | None:
        now = time.monotonic()
        if now - self._looked_again > LOOK_AGAIN_S:
            self._looked_again = now
            self._look_again()
        mine = self._shares[self._plan.me]
        while self._cursor < len(mine):
            piece = mine[self._cursor]
            self._cursor += 1
            if self._free(piece):
                return piece
        # Ours is read. What another one has not begun with is at the end of its share.
        for reader in sorted(self._readers, key=lambda one: one in self._ledger.peers):
            while reader != self._plan.me and self._tails[reader]:
                self._tails[reader] -= 1
                piece = self._shares[reader][self._tails[reader]]
                if self._free(piece):
                    return piece
        return None

    def _read(self, piece: int, written: Callable[[int, memoryview, int, list[int]], None]) -> None:
        """In a thread."""
        segments = self._pieces[piece].segments
        view = memoryview(self._buffer())[: self._pieces[piece].length]
        try:
            at = 0
            for segment in segments:
                name = self._plan.files[segment.file].name
                self.source.read_into(name, segment.offset, view[at : at + segment.length])
                at += segment.length
            crc, parts = crc_of(segments, view)
            at = 0
            for segment in segments:
                if self._wanted(segment.file):
                    self._store.write(segment, view[at : at + segment.length])
                at += segment.length
        except (OriginError, StoreError) as error:
            trouble = error
            self._post(lambda: self._not_read(piece, trouble))
            return
        except Exception as error:
            # Nobody foresaw it: the lane must end with it, or it would wait for this piece for ever.
            unforeseen = error
            self._post(lambda: _raise(unforeseen))
            return

        def done() -> None:
            self._active.discard(piece)
            self.read_bytes += len(view)
            self.trouble = ""
            written(piece, view, crc, parts)

        self._post(done)

    def _not_read(self, piece: int, error: Exception) -> None:
        self._active.discard(piece)
        self._ledger.not_from_origin(piece)
        self.trouble = str(error)
        if isinstance(error, StoreError) or getattr(error, "final", False):
            self.failed = str(error)
            return
        self._look_again()
        pause = getattr(error, "retry_after", None)
        self._paused_until = time.monotonic() + (PAUSE_AFTER_FAILURE_S if pause is None else pause)


def _raise(error: Exception) -> None:
    raise error
