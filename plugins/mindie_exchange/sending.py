# SPDX-License-Identifier: Apache-2.0
"""What a lane gives: pieces that it chose itself, pieces that it was asked for, and what it says about them."""

from __future__ import annotations

from typing import Callable

from mindie_exchange import wire
from mindie_exchange.connection import Connection, Outgoing, Part
from mindie_exchange.ledger import Ledger, Peer
from mindie_exchange.links import Links
from mindie_exchange.share import Share
from mindie_exchange.store import Store, StoreError, crc_of
from mindie_exchange.threads import Buffers, Threads


class Sending:
    """`broken(piece, why)` is called when a piece that was brought here cannot be read any more or has changed,
    `doubted(member, piece)` when a member wants it with another crc32 than ours, `warn(text)` for the operator.
    """

    def __init__(
        self,
        share: Share,
        store: Store,
        ledger: Ledger,
        links: Links,
        threads: Threads,
        buffers: Buffers,
        broken: Callable[[int, str], None],
        doubted: Callable[[int, int], None],
        warn: Callable[[str], None],
    ) -> None:
        self._share, self._store, self._ledger, self._links = share, store, ledger, links
        self._threads, self._buffers = threads, buffers
        self._broken, self._doubted, self._warn = broken, doubted, warn
        # what is wrong with files that we had from the beginning
        self.unreadable: dict[int, str] = {}
        self.refused_pieces = 0
        # pieces that are being read
        self.reading = 0

    def give(self, connection: Connection, peer: Peer, now: float) -> None:
        """Gives as many pieces of our choice as the member takes at once."""
        while True:
            piece = self._ledger.give(peer, now)
            if piece is None:
                return
            self._prepare(connection, piece, given=True)

    def answer(self, connection: Connection, piece: int) -> None:
        """A member asks for a piece."""
        if not self._ledger.have[piece]:
            connection.say(wire.DENY, piece)
        else:
            self._prepare(connection, piece, given=False)

    def _prepare(self, connection: Connection, piece: int, given: bool) -> None:
        """Sends a piece; reads it first where its crc32 is not known yet, or where it consists of several files."""
        one = self._share.pieces[piece]
        crc = self._ledger.crcs[piece]
        if crc and len(one.segments) == 1:
            self._send(connection, piece, crc, None, given)
            return
        self._read(piece, lambda value, view: self._send(connection, piece, value, view, given))

    def _read(self, piece: int, then: Callable[[int, memoryview], None]) -> None:
        """Reads a piece in a thread, then calls `then(crc, its bytes)`; the bytes are to be given back."""
        one = self._share.pieces[piece]

        def read() -> tuple[int, memoryview]:
            view = self._buffers.view(one.length)
            self._store.read_all_into(one.segments, view)
            return crc_of(one.segments, view)[0], view

        def done(result: tuple[int, memoryview]) -> None:
            self.reading -= 1
            then(*result)

        def failed(error: StoreError) -> None:
            self.reading -= 1
            self._cannot_read(piece, error)

        self.reading += 1
        self._threads.run("read", read, done, failed)

    def _send(self, connection: Connection, piece: int, crc: int, view: memoryview | None, given: bool) -> None:
        ledger = self._ledger
        if not self._links.is_open(connection) or not ledger.have[piece]:
            self._give_back(view)
            return
        if ledger.crcs[piece] not in (0, crc):
            # It was known before it was read again.
            self._give_back(view)
            self._not_as_it_was(piece)
            return
        ledger.crcs[piece] = crc
        segments = self._share.pieces[piece].segments
        if view is not None and len(segments) > 1:
            spare = view
            outgoing = Outgoing(piece, crc, [Part(-1, view, 0, len(view))], lambda: self._buffers.give_back(spare))
        else:
            self._give_back(view)
            try:
                handle = self._store.take(segments[0].file)
            except StoreError as error:
                self._cannot_read(piece, error)
                return
            parts = [Part(handle.number, None, segments[0].offset, segments[0].length)]
            outgoing = Outgoing(piece, crc, parts, lambda: self._store.give_back(handle))
        connection.send_piece(outgoing)
        if given:
            self._links.say_all(wire.GAVE, piece, crc, but=connection)

    def _give_back(self, view: memoryview | None) -> None:
        if view is not None:
            self._buffers.give_back(view)

    # what others say of what we sent

    def refused(self, member: int, piece: int, wanted: int) -> None:
        """What we sent does not fit: looks whether it is still what it was on our disk, and says what is there.

        `wanted`: the crc32 that the piece must have as the member thinks, or 0 when it was damaged on the way.
        """
        self.refused_pieces += 1
        if self._ledger.have[piece]:
            self._read(piece, lambda crc, view: self._looked_at(member, piece, wanted, crc, view))
        elif member in self._links.members:
            self._links.members[member].say(wire.DENY, piece)

    def _looked_at(self, member: int, piece: int, wanted: int, crc: int, view: memoryview) -> None:
        self._buffers.give_back(view)
        if self._ledger.have[piece] and self._ledger.crcs[piece] not in (0, crc):
            self._not_as_it_was(piece)
            return
        as_wanted = wanted in (0, crc)
        if not as_wanted:
            self._doubted(member, piece)
        elif member in self._links.members:
            self._links.members[member].say(wire.GOT if self._ledger.have[piece] else wire.DENY, piece, crc)
        peer = self._ledger.peers.get(member)
        if peer is not None:
            self._ledger.refused(peer, piece, again=as_wanted)

    def look_at(self, piece: int) -> None:
        """Looks whether a piece can still be read and is what it was."""

        def found(crc: int, view: memoryview) -> None:
            self._buffers.give_back(view)
            if self._ledger.have[piece] and self._ledger.crcs[piece] not in (0, crc):
                self._not_as_it_was(piece)

        if self._ledger.have[piece]:
            self._read(piece, found)

    def tell_crc(self, connection: Connection, piece: int) -> None:
        """Says the crc32 that a piece has here, read from the disk."""
        if not self._ledger.have[piece]:
            connection.say(wire.DENY, piece)
            return

        def told(crc: int, view: memoryview) -> None:
            self._buffers.give_back(view)
            known = self._ledger.crcs[piece]
            if self._ledger.have[piece] and known not in (0, crc):
                self._not_as_it_was(piece)
            elif self._links.is_open(connection):
                self._ledger.crcs[piece] = known or crc
                connection.say(wire.GOT, piece, crc)

        self._read(piece, told)

    # what cannot be sent

    def _not_as_it_was(self, piece: int) -> None:
        self.lose(piece, 0, "%s is not what it was when it was read first" % self._share.where(piece))

    def _cannot_read(self, piece: int, error: StoreError) -> None:
        if self._ledger.have[piece]:
            self.lose(piece, error.number, str(error))

    def lose(self, piece: int, number: int, why: str) -> None:
        """What is here of the piece is of no use: says so, and sees to it that it is brought again where it may be.

        `number`: the errno of the reason, or 0.
        """
        ours = [file for file in self._share.files_of(piece) if self._store.complete(file)]
        if len(ours) < len(self._share.files_of(piece)):
            self._broken(piece, why)
            return
        # It was here from the beginning, so nobody but its owner may mend it. Others may have it too.
        self._ledger.give_up(piece)
        self._links.say_all(wire.LOST, piece, number)
        for file in ours:
            if file not in self.unreadable:
                self.unreadable[file] = "%s in %s: %s" % (self._share.name(file), self._store.place.final, why)
                self._warn(self.unreadable[file] + "; it is not given to anybody any more")
