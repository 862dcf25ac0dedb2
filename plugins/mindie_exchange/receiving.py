# SPDX-License-Identifier: Apache-2.0
"""What a lane receives: pieces arrive in memory, are compared with their crc32, written, noted, and told of."""

from __future__ import annotations

from typing import Callable

from mindie_exchange import wire
from mindie_exchange.connection import Connection
from mindie_exchange.judging import Judge
from mindie_exchange.keeping import Keeping
from mindie_exchange.ledger import ORIGIN, Ledger, Peer
from mindie_exchange.links import Links
from mindie_exchange.share import Share
from mindie_exchange.store import Store, crc_of
from mindie_exchange.threads import Buffers, Threads

# After so many pieces that did not fit, the operator hears of a member; then at ten times as many, and so on.
FIRST_WARNING = 3
# A piece that comes so often as a seeder did not announce it is taken; the sha256 of its file tells who is right.
BELIEVED_AFTER = 2


class Receiving:
    """`done_bytes`: what is on the disk; `again_bytes`: what came for nothing. `go_on(member)` is called when there
    may be more to ask of a member; `warn(text)` for the operator."""

    def __init__(
        self,
        share: Share,
        store: Store,
        ledger: Ledger,
        links: Links,
        threads: Threads,
        buffers: Buffers,
        keeping: Keeping,
        judge: Judge,
        go_on: Callable[[int], None],
        warn: Callable[[str], None],
    ) -> None:
        self._share, self._store, self._ledger, self._links = share, store, ledger, links
        self._threads, self._buffers, self._keeping, self._judge = threads, buffers, keeping, judge
        self._go_on, self._warn = go_on, warn
        # by connection, the piece that is arriving: (piece, its buffer, bytes so far)
        self._arriving: dict[Connection, tuple[int, memoryview, int]] = {}
        self.writing: set[int] = set()
        self.done_bytes = share.bytes_of(ledger.have)
        self.again_bytes = 0
        # by member, pieces from it that did not fit
        self.bad: dict[int, int] = {}
        self._warn_at: dict[int, int] = {}
        # by piece, how often it came as its sender has it and not as a seeder announced it
        self._contradicted: dict[int, int] = {}

    def is_arriving(self, connection: Connection) -> bool:
        return connection in self._arriving

    def ended(self, connection: Connection) -> None:
        """The connection is gone, and with it what had not come in whole."""
        arriving = self._arriving.pop(connection, None)
        if arriving is not None:
            self.again_bytes += arriving[2] - connection.unread
            self._buffers.give_back(arriving[1])

    def buffer_for(self, connection: Connection, piece: int, offset: int, length: int) -> memoryview:
        """Returns where the bytes of a DATA frame go. Raises WireError when they are none that may come."""
        if piece >= len(self._share.pieces):
            raise wire.WireError("it sends piece %d of %d" % (piece, len(self._share.pieces)))
        arriving = self._arriving.get(connection)
        if arriving is None:
            if not self._may_come(connection.member, piece):
                raise wire.WireError("it sends piece %d, which was not asked of it" % piece)
            if offset:
                raise wire.WireError("it sends piece %d from its middle" % piece)
            arriving = (piece, self._buffers.view(self._share.pieces[piece].length), 0)
        if arriving[0] != piece or arriving[2] != offset or offset + length > len(arriving[1]):
            raise wire.WireError("its bytes of piece %d are out of order" % piece)
        self._arriving[connection] = (piece, arriving[1], offset + length)
        return arriving[1][offset : offset + length]

    def _may_come(self, member: int | None, piece: int) -> bool:
        """A seeder gives what it likes of what it has; and what was asked for and taken back may still come."""
        peer = None if member is None else self._ledger.peers.get(member)
        if peer is None:
            return False
        return piece in peer.asked or bool(peer.has[piece])

    def ends(self, connection: Connection, peer: Peer, piece: int, crc: int) -> None:
        """The member says that this was all of the piece. Raises WireError when it was not."""
        arriving = self._arriving.pop(connection, None)
        if arriving is None or arriving[0] != piece or arriving[2] != len(arriving[1]):
            raise wire.WireError("it ended piece %d before its last byte" % piece)
        view = arriving[1]
        if not self._ledger.wants(piece) or piece in self.writing:
            self.again_bytes += len(view)
            self._buffers.give_back(view)
            self._ledger.late(peer, piece)
            if piece not in self.writing:
                connection.say(wire.GOT, piece, self._ledger.crcs[piece])
            self._go_on(peer.member)
            return
        self.writing.add(piece)
        segments, member = self._share.pieces[piece].segments, peer.member
        announced = self._ledger.announced.get(piece, crc)

        def write() -> tuple[bool, int, list[int]]:
            whole, parts = crc_of(segments, view)
            fits = whole == crc and whole == announced and self._ledger.fits(piece, whole)
            if fits:
                at = 0
                for segment in segments:
                    if self._judge.wants(segment.file):
                        self._store.write(segment, view[at : at + segment.length])
                    at += segment.length
            return fits, whole, parts

        def written(result: tuple[bool, int, list[int]]) -> None:
            fits, whole, parts = result
            if fits:
                self.take(member, piece, view, whole, parts)
            else:
                self._refuse(member, piece, view, whole if whole == crc else 0)

        self._threads.run("write", write, written)

    def _refuse(self, member: int, piece: int, view: memoryview, crc: int) -> None:
        """The piece is not what it should be. `crc`: of it as the member has it, or 0 when it was damaged."""
        self.writing.discard(piece)
        self.again_bytes += len(view)
        self._buffers.give_back(view)
        if crc:
            self._contradicted[piece] = self._contradicted.get(piece, 0) + 1
            if self._contradicted[piece] >= BELIEVED_AFTER:
                self._ledger.announced.pop(piece, None)
        else:
            self._damaged(member)
        peer = self._ledger.peers.get(member)
        if peer is not None:
            # What it has is known now, so it is not asked again for what does not fit.
            peer.crcs[piece] = crc
            self._ledger.failed(peer, piece)
            self._judge.complain(member, piece, self._ledger.demanded(piece) if crc else 0)
        for other in list(self._ledger.peers):
            self._go_on(other)

    def _damaged(self, member: int) -> None:
        self.bad[member] = count = self.bad.get(member, 0) + 1
        if count == self._warn_at.setdefault(member, FIRST_WARNING):
            self._warn_at[member] *= 10
            self._warn(
                "%d pieces came damaged from %s and were brought again: its disk, its memory or the network between "
                "is bad" % (count, self._share.member(member))
            )

    def take(self, member: int, piece: int, view: memoryview, crc: int, parts: list[int]) -> None:
        """The piece came from a member (or ORIGIN) and is on the disk."""
        self.writing.discard(piece)
        self.done_bytes += len(view)
        for other in self._ledger.got(piece, crc):
            if other != member and other in self._links.members:
                self._links.members[other].say(wire.CANCEL, piece)
        segments = self._share.pieces[piece].segments
        wanted = [index for index, segment in enumerate(segments) if self._judge.wants(segment.file)]
        self._keeping.note((segments[index], parts[index]) for index in wanted)
        self._judge.prove(member, piece, view)
        self._links.say_all(wire.GOT, piece, crc)
        if member != ORIGIN:
            self._go_on(member)

    def lose(self, piece: int) -> None:
        """What is on the disk of the piece is broken; it is brought again."""
        length = self._share.pieces[piece].length
        self.done_bytes -= length
        self.again_bytes += length
        self._ledger.lost(piece)
        self._keeping.note_lost(self._share.pieces[piece].segments)
        self._links.say_all(wire.LOST, piece)
