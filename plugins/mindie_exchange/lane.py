# SPDX-License-Identifier: Apache-2.0
"""One lane: a process that exchanges its share of the files with the same lane of all other members."""

from __future__ import annotations

import collections
import contextlib
import errno
import functools
import hashlib
import json
import os
import selectors
import socket
import time
from array import array
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

from mindie_exchange import calls, journal, wire
from mindie_exchange.connection import ClosedError, Connection, Handler, Identity, Outgoing, Part, tune
from mindie_exchange.layout import Segment, lanes_of, pieces_of
from mindie_exchange.ledger import GIVEN_WINDOW, ORIGIN, Ledger, Peer
from mindie_exchange.origin import OriginWork
from mindie_exchange.plan import Plan
from mindie_exchange.proof import Prover
from mindie_exchange.store import DiskFullError, Store, StoreError, covered, crc_of

TICK_S = 0.1
STATUS_EVERY_S = 0.5
HANDSHAKE_S = 10.0
# A member that says nothing for so long is gone; each says "alive" once a second.
SILENT_S = 10.0
ALIVE_EVERY_S = 1.0
STALLED_AFTER_S = 2.0
# A piece that a living member does not send for so long is asked of another one.
UNSERVED_S = 15.0
# At the start a seeder waits so long for the others to say what they have.
HEAR_FIRST_S = 1.0
SYNC_EVERY_S = 5.0
SYNC_EVERY_BYTES = 1024 * 1024 * 1024
# So long a complete member that nobody talks to waits for those that are not complete.
LINGER_S = 600.0
MOST_WRONG = 3
WRITERS = 2
READERS = 2


class LaneError(Exception):
    """Ends the run on this member; something to tell the operator."""


class Lane(Handler):
    """The loop and everything that it decides with. `channel` leads to the agent that started us."""

    def __init__(self, plan: Plan, number: int, channel: socket.socket) -> None:
        self.plan, self.number, self.channel = plan, number, channel
        sizes = [file.size for file in plan.files]
        self.files = lanes_of(sizes, plan.lanes)[number]
        self.pieces = pieces_of(sizes, self.files, plan.piece_size)
        self.file_seeders = {file: plan.seeders(file) for file in self.files}
        self.store = Store(plan.place, plan.files)
        count = len(self.pieces)
        self.identity = Identity(plan.secret, plan.digest, number, plan.me, len(plan.members), 5 * count)
        self.selector = selectors.DefaultSelector()
        self.connections: dict[int, Connection] = {}
        self.strangers: set[Connection] = set()
        self.unproven = {f for f in self.files if not self.store.complete(f)}
        have, crcs = self._look()
        self.ledger = Ledger(plan.me, have, crcs, self._seeders)
        self.prover = Prover(self.store, list(plan.files), self.pieces, have, crcs, self._from_thread_proof)
        self.journal = None if plan.place.read_only else journal.Journal(self._journal_path())
        self.events: collections.deque[Callable[[], None]] = collections.deque()
        self.wake_read, self.wake_write = os.pipe()
        os.set_blocking(self.wake_read, False)
        os.set_blocking(self.wake_write, False)
        self.writers = ThreadPoolExecutor(WRITERS, "write")
        self.readers = ThreadPoolExecutor(READERS, "read")
        self.syncer = ThreadPoolExecutor(1, "sync")
        self.syncing = False
        self.unsynced: set[int] = set()
        self.unsynced_bytes = 0
        self.now = self.began = self.last_progress = self.last_sync = self.last_company = time.monotonic()
        self.told = 0.0
        self.stalled = False
        self.spare: list[bytearray] = []
        # by connection, the piece that is arriving: (piece, its buffer, bytes so far)
        self.arriving: dict[Connection, tuple[int, memoryview, int]] = {}
        self.scratch = memoryview(bytearray(wire.LARGEST_DATA))
        self.writing: set[int] = set()
        self.sent_by: dict[int, int] = {}
        self.wrong: collections.Counter[int] = collections.Counter()
        self.done: set[int] = set()
        self.said_done = False
        self.tokens = float(plan.rate_limit) / plan.lanes
        self.filled = self.began
        self.received_bytes = self.sent_bytes = self.again_bytes = 0
        self.refused_pieces = 0
        self.started_bytes = self.done_bytes = sum(self.pieces[p].length for p in range(count) if have[p])
        self.callers = calls.Callers(plan, number)
        self.tls = calls.tls_contexts(plan)
        self.origin = OriginWork(
            plan, self.pieces, self.ledger, self.store, self._post, self._buffer, self.unproven.__contains__
        )

    # the start

    def _look(self) -> tuple[bytearray, array[int]]:
        """Returns which pieces are on the disk, and their crc32 where it is known."""
        place, plan = self.plan.place, self.plan
        ranges = {} if place.read_only else journal.read(place.incoming)
        for file in sorted(self.unproven):
            arrived = self.store.arrived(file)
            if os.path.isfile(arrived) and os.path.getsize(arrived) == plan.files[file].size:
                self.store.adopt(file)
                self.unproven.discard(file)
        have = bytearray(len(self.pieces))
        crcs = array("I", bytes(4 * len(self.pieces)))
        for number, piece in enumerate(self.pieces):
            if all(segment.file not in self.unproven for segment in piece.segments):
                have[number] = 1
                continue
            there, crc = covered(piece, plan.files, ranges)
            if there and all(
                segment.file not in self.unproven or os.path.exists(self.store.path(segment.file))
                for segment in piece.segments
            ):
                have[number], crcs[number] = 1, crc
        return have, crcs

    def _seeders(self, piece: int) -> list[int]:
        return self.file_seeders[self.pieces[piece].segments[0].file]

    def _journal_path(self) -> str:
        return os.path.join(self.plan.place.incoming, "%s.%d" % (journal.NAME, self.number))

    # the loop

    def run(self) -> None:
        """Runs until everything is here and everybody else has everything too. Raises LaneError."""
        self.selector.register(self.wake_read, selectors.EVENT_READ, "wake")
        self.selector.register(self.channel, selectors.EVENT_READ, "channel")
        self.prover.start()
        self._prove_what_is_here()
        next_tick = self.now
        while not self._finished():
            pause = max(0.0, next_tick - time.monotonic())
            if self.plan.rate_limit and self.tokens <= 0:
                pause = min(pause, 0.01)
            for key, mask in self.selector.select(pause):
                self.now = time.monotonic()
                if key.data == "wake":
                    with contextlib.suppress(BlockingIOError):
                        os.read(self.wake_read, 4096)
                elif key.data == "channel":
                    self._take_stranger()
                else:
                    self._serve(key.data, mask)
            while self.events:
                self.events.popleft()()
            self.now = time.monotonic()
            if self.now >= next_tick:
                next_tick = self.now + TICK_S
                self._tick()
            self._interests()
        self._flush()

    def _prove_what_is_here(self) -> None:
        for file in sorted(self.unproven):
            if not self.plan.files[file].size:
                if self.plan.files[file].sha256 != hashlib.sha256().hexdigest():
                    raise LaneError("%s is empty and has another sha256 in the manifest" % self.plan.files[file].name)
                self.store.finish(file)
                self.unproven.discard(file)
                self._tell(proven=self.plan.files[file].name)
            elif any(self.ledger.have[number] for number, _segment in self.prover.pieces_of[file]):
                self.prover.offer(file, 0, None, None)

    def _finished(self) -> bool:
        if self.ledger.lacking or self.unproven or self.writing:
            return False
        if not self.said_done:
            self.said_done = True
            for connection in self.connections.values():
                connection.say(wire.NEXT, 0, 0)
                connection.say(wire.DONE)
        others = set(range(len(self.plan.members))) - {self.plan.me}
        if others <= self.done:
            return True
        if self.connections:
            self.last_company = self.now
        return self.now - self.last_company > LINGER_S

    def _flush(self) -> None:
        """Sends what is queued, so that the others hear that we are done, and ends."""
        until = time.monotonic() + 3.0
        while time.monotonic() < until:
            waiting = [c for c in self.connections.values() if c.wants_write]
            if not waiting:
                break
            for connection in waiting:
                try:
                    connection.writable(time.monotonic())
                except ClosedError:
                    self._drop(connection, "")
            time.sleep(0.01)
        self._sync_now()
        self.prover.stop()
        self.status()

    def _tick(self) -> None:
        if self.plan.rate_limit:
            rate = self.plan.rate_limit / self.plan.lanes
            self.tokens = min(rate / 4, self.tokens + rate * (self.now - self.filled))
            self.filled = self.now
        for member, sock in self.callers.due(self.now, set(self.connections)):
            self._add(sock, member)
        for connection in list(self.connections.values()) + list(self.strangers):
            self._look_after(connection)
        if not self.ledger.pending and self.ledger.lacking and self.now - self.last_progress > STALLED_AFTER_S:
            self.stalled = True
        for connection in list(self.connections.values()):
            self._pump(connection)
        due = self.now - self.last_sync > SYNC_EVERY_S or self.unsynced_bytes > SYNC_EVERY_BYTES
        if self.unsynced and due and not self.syncing:
            self._sync_soon()
        self.callers.tick(self.now)
        self._read_on()
        if self.now - self.told >= STATUS_EVERY_S:
            self.status()

    def _look_after(self, connection: Connection) -> None:
        if not connection.open:
            if self.now - connection.began > HANDSHAKE_S:
                self._drop(connection, "it did not finish its greeting")
            return
        if self.now - connection.last_heard > SILENT_S:
            self._drop(connection, "it has said nothing for %d s" % SILENT_S)
            return
        if self.now - connection.last_said > ALIVE_EVERY_S:
            connection.say(wire.ALIVE)
        peer = self._peer(connection)
        if peer is None or connection in self.arriving:
            return
        for piece, since in list(peer.asked.items()):
            if self.now - since > UNSERVED_S:
                connection.say(wire.CANCEL, piece)
                self.ledger.failed(peer, piece)

    def _interests(self) -> None:
        for connection in list(self.connections.values()) + list(self.strangers):
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.wants_write else 0)
            key = self.selector.get_key(connection)
            if key.events != wanted:
                self.selector.modify(connection, wanted, connection)

    def _serve(self, connection: Connection, mask: int) -> None:
        if connection not in self.strangers and self._of(connection.member) is not connection:
            return  # it was dropped earlier in this turn
        try:
            if mask & selectors.EVENT_WRITE:
                connection.writable(self.now)
            if mask & selectors.EVENT_READ:
                connection.readable(self.now)
        except ClosedError as error:
            self._drop(connection, str(error))
        except wire.WireError as error:
            self._drop(connection, str(error), stranger=True)

    # connections come and go

    def _take_stranger(self) -> None:
        """Takes a connection that the agent accepted for us."""
        message, descriptor = calls.receive_socket(self.channel)
        if not message:
            raise LaneError("the agent is gone")
        if descriptor is not None:
            self._add(socket.socket(fileno=descriptor), None)

    def _add(self, sock: socket.socket, member: int | None) -> None:
        tune(sock)
        try:
            wrapped = calls.wrap(self.tls, sock, member is not None)
        except OSError:
            sock.close()
            return
        connection = Connection(wrapped, self.identity, self, member, self.now)
        self.strangers.add(connection)
        self.selector.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)

    def opened(self, connection: Connection) -> None:
        member = connection.member
        assert member is not None
        before = self.connections.get(member)
        if before is not None:
            self._drop(before, "it called again")
        self.strangers.discard(connection)
        self.connections[member] = connection
        self.callers.reached(member)
        connection.say(wire.HAVE, 0, 0, bytes(self.ledger.have) + self.ledger.crcs.tobytes())
        if self.ledger.lacking:
            connection.say(wire.NEXT, 0, GIVEN_WINDOW)
        if self.said_done:
            connection.say(wire.DONE)

    def _drop(self, connection: Connection, why: str, stranger: bool = False) -> None:
        self.strangers.discard(connection)
        arriving = self.arriving.pop(connection, None)
        if arriving is not None:
            self.again_bytes += arriving[2]
            self._spare(arriving[1])
        with contextlib.suppress(KeyError, ValueError):
            self.selector.unregister(connection)
        connection.close()
        member = connection.member
        if member is None:
            return
        if self.connections.get(member) is connection:
            del self.connections[member]
            self.ledger.left(member, self.now)
        self.callers.lost(member, why, self.now)

    def _of(self, member: int | None) -> Connection | None:
        return None if member is None else self.connections.get(member)

    def _peer(self, connection: Connection) -> Peer | None:
        return None if connection.member is None else self.ledger.peers.get(connection.member)

    # what others say

    def heard(self, connection: Connection, kind: int, piece: int, number: int, payload: bytearray | None) -> None:
        member = connection.member
        assert member is not None
        count = len(self.pieces)
        if kind == wire.HAVE:
            if (payload is None and count) or (payload is not None and len(payload) != 5 * count):
                raise wire.WireError("its list of pieces has another length")
            has = bytes(payload[:count]) if payload else b""
            crcs = array("I", bytes(payload[count:])) if payload else array("I")
            self.ledger.joined(member, has, crcs)
            self._pump(connection)
            return
        if kind == wire.ALIVE:
            return
        peer = self._peer(connection)
        if peer is None:
            raise wire.WireError("it did not say what it has")
        if kind == wire.DONE:
            self.done.add(member)
            return
        if kind == wire.NEXT:
            peer.window = min(number, 64)
            self._pump(connection)
            return
        if piece >= count:
            raise wire.WireError("it speaks of piece %d of %d" % (piece, count))
        if kind == wire.GOT:
            self.ledger.peer_got(peer, piece, number)
            self._pump(connection)
        elif kind == wire.GAVE:
            self.ledger.announced[piece] = number
        elif kind == wire.ASK:
            self._answer(connection, piece)
        elif kind == wire.SUM:
            self._arrived(connection, peer, piece, number)
        elif kind == wire.CANCEL:
            connection.cancel(piece)
        elif kind in (wire.DENY, wire.LOST):
            self.ledger.peer_lost(peer, piece)
            self._pump(connection)
        elif kind == wire.BAD:
            self._refused(connection, peer, piece)
        else:
            raise wire.WireError("a frame of the unknown kind %d" % kind)

    def _refused(self, connection: Connection, peer: Peer, piece: int) -> None:
        self.refused_pieces += 1
        # What we have may have changed on the disk since we computed its crc32: compute it again.
        if all(segment.file not in self.unproven for segment in self.pieces[piece].segments):
            self.ledger.crcs[piece] = 0
        self.ledger.refused(peer, piece)
        self._pump(connection)

    def _pump(self, connection: Connection) -> None:
        """Gives and asks as much as the windows allow."""
        peer = self._peer(connection)
        if peer is None:
            return
        if self._heard_all():
            while True:
                piece = self.ledger.give(peer, self.now)
                if piece is None:
                    break
                self._prepare(connection, piece, given=True)
        while True:
            piece = self.ledger.ask(peer, self.now, self.stalled)
            if piece is None:
                break
            connection.say(wire.ASK, piece)

    def _heard_all(self) -> bool:
        return self.now - self.began > HEAR_FIRST_S or len(self.ledger.peers) >= len(self.plan.members) - 1

    # sending

    def _answer(self, connection: Connection, piece: int) -> None:
        if not self.ledger.have[piece]:
            connection.say(wire.DENY, piece)
        else:
            self._prepare(connection, piece, given=False)

    def _prepare(self, connection: Connection, piece: int, given: bool) -> None:
        """Sends a piece; reads it first where its crc32 is not known yet, or where it consists of several files."""
        segments = self.pieces[piece].segments
        crc = self.ledger.crcs[piece]
        if crc and len(segments) == 1:
            self._send(connection, piece, crc, None, given)
            return

        def read() -> None:
            view = memoryview(self._buffer())[: self.pieces[piece].length]
            try:
                at = 0
                for segment in segments:
                    self.store.read_into(segment, view[at : at + segment.length])
                    at += segment.length
                value = crc_of(segments, view)[0]
            except StoreError as error:
                self._post(functools.partial(self._cannot_read, piece, error))
                return
            self._post(lambda: self._send(connection, piece, value, view, given))

        self.readers.submit(read)

    def _cannot_read(self, piece: int, error: StoreError) -> None:
        self._tell(warning=str(error))
        self.ledger.have[piece] = 0
        self.ledger.lacking += 1
        if self.plan.place.read_only or all(self.store.complete(s.file) for s in self.pieces[piece].segments):
            raise LaneError(str(error))
        self._say_all(wire.LOST, piece)

    def _send(self, connection: Connection, piece: int, crc: int, view: memoryview | None, given: bool) -> None:
        segments = self.pieces[piece].segments
        if self._of(connection.member) is not connection:
            if view is not None:
                self._spare(view)
            return
        self.ledger.crcs[piece] = crc
        if view is not None and len(segments) > 1:
            parts = [Part(-1, view, 0, len(view))]
            spare = view
            outgoing = Outgoing(piece, crc, parts, lambda: self._spare(spare))
        else:
            if view is not None:
                self._spare(view)
            segment = segments[0]
            try:
                handle = self.store.take(segment.file)
            except StoreError as error:
                self._cannot_read(piece, error)
                return
            parts = [Part(handle.number, None, segment.offset, segment.length)]
            outgoing = Outgoing(piece, crc, parts, lambda: self.store.give_back(handle))
        connection.send_piece(outgoing)
        if given:
            for other in self.connections.values():
                if other is not connection:
                    other.say(wire.GAVE, piece, crc)

    def may_send(self) -> int:
        return 1 if not self.plan.rate_limit else int(self.tokens)

    def moved(self, connection: Connection, received: int, sent: int) -> None:
        self.received_bytes += received
        self.sent_bytes += sent
        self.tokens -= sent
        if received:
            self.last_progress = self.now

    # receiving

    def buffer_for(self, connection: Connection, piece: int, offset: int, length: int) -> memoryview:
        if piece >= len(self.pieces):
            raise wire.WireError("it sends piece %d of %d" % (piece, len(self.pieces)))
        arriving = self.arriving.get(connection)
        if arriving is None:
            peer = self._peer(connection)
            expected = peer is not None and (piece in peer.asked or self._may_give(peer.member, piece))
            if not expected:
                raise wire.WireError("it sends piece %d, which was not asked of it" % piece)
            if offset:
                raise wire.WireError("it sends piece %d from its middle" % piece)
            view = memoryview(self._buffer())[: self.pieces[piece].length]
            arriving = (piece, view, 0)
        if arriving[0] != piece or arriving[2] != offset or offset + length > len(arriving[1]):
            raise wire.WireError("its bytes of piece %d are out of order" % piece)
        self.arriving[connection] = (piece, arriving[1], offset + length)
        return arriving[1][offset : offset + length]

    def _may_give(self, member: int, piece: int) -> bool:
        """A seeder gives what it likes; and what was asked of somebody and then taken back may still come."""
        return member in self._seeders(piece) or bool(self.ledger.peers[member].has[piece])

    def _arrived(self, connection: Connection, peer: Peer, piece: int, crc: int) -> None:
        arriving = self.arriving.pop(connection, None)
        if arriving is None or arriving[0] != piece or arriving[2] != len(arriving[1]):
            raise wire.WireError("it ended piece %d before its last byte" % piece)
        view = arriving[1]
        if piece not in peer.asked:
            # It came without being asked for, so whatever stalled us is over.
            self.stalled = False
        elif peer.member not in self._seeders(piece):
            self.stalled = False
        if self.ledger.have[piece] or piece in self.writing:
            self.again_bytes += len(view)
            self._spare(view)
            self.ledger.failed(peer, piece)
            if self.ledger.have[piece]:
                connection.say(wire.GOT, piece, self.ledger.crcs[piece])
            self._pump(connection)
            return
        announced = self.ledger.announced.get(piece, crc)
        self.writing.add(piece)
        segments = self.pieces[piece].segments
        member = peer.member

        def write() -> None:
            try:
                whole, parts = crc_of(segments, view)
                fits = whole == crc and whole == announced
                if fits:
                    at = 0
                    for segment in segments:
                        if segment.file in self.unproven:
                            self.store.write(segment, view[at : at + segment.length])
                        at += segment.length
                self._post(lambda: self._written(member, piece, view, whole, parts, fits))
            except StoreError as error:
                self._post(functools.partial(self._failed, error))

        self.writers.submit(write)

    def _written(self, member: int, piece: int, view: memoryview, crc: int, parts: list[int], fits: bool) -> None:
        self.writing.discard(piece)
        connection = self.connections.get(member)
        peer = self.ledger.peers.get(member)
        if not fits:
            self.again_bytes += len(view)
            self._spare(view)
            self.callers.note_bad(member)
            if peer is not None and connection is not None:
                self.ledger.failed(peer, piece)
                connection.say(wire.BAD, piece)
                self._pump(connection)
            return
        self.sent_by[piece] = member
        self.done_bytes += len(view)
        self.ledger.got(piece, crc)
        segments = self.pieces[piece].segments
        names = self.plan.files
        if self.journal is not None:
            self.journal.note(
                (names[segment.file].name, segment.offset, segment.length, parts[index])
                for index, segment in enumerate(segments)
                if segment.file in self.unproven
            )
        self.unsynced.update(segment.file for segment in segments)
        self.unsynced_bytes += len(view)
        self._hash(segments, view)
        self._say_all(wire.GOT, piece, crc)
        if connection is not None:
            self._pump(connection)

    def _hash(self, segments: tuple[Segment, ...], view: memoryview) -> None:
        if self.prover.busy:
            self._spare(view)
            for segment in segments:
                self.prover.offer(segment.file, segment.offset, None, None)
            return
        at = 0
        for segment in segments:
            last = segment is segments[-1]
            release = (lambda: self._spare(view)) if last else None
            if segment.file in self.unproven:
                self.prover.offer(segment.file, segment.offset, view[at : at + segment.length], release)
            elif last:
                self._spare(view)
            at += segment.length

    def _read_on(self) -> None:
        """Reads more from the origin."""
        if self.origin.failed:
            raise LaneError(self.origin.failed)
        if self._heard_all():
            self.origin.go_on(self._read_from_origin)

    def _read_from_origin(self, piece: int, view: memoryview, crc: int, parts: list[int]) -> None:
        self.last_progress = self.now
        self.stalled = False
        self._written(ORIGIN, piece, view, crc, parts, True)
        self._read_on()

    # proofs

    def _from_thread_proof(self, kind: str, file: int, value: Any) -> None:
        self._post(lambda: self._judged(kind, file, value))

    def _judged(self, kind: str, file: int, value: Any) -> None:
        name = self.plan.files[file].name
        if kind == "failed":
            self._failed(value)
        elif kind == "proven":
            self.unproven.discard(file)
            self.unsynced.discard(file)
            self._tell(proven=name)
        else:
            self._wrong(file, name, value)

    def _wrong(self, file: int, name: str, broken: list[int]) -> None:
        """A file has another sha256 than the manifest: brings again what can be told to be wrong."""
        self.wrong[file] += 1
        senders = sorted({self.sent_by[n] for n, _s in self.prover.pieces_of[file] if n in self.sent_by})
        names = ["the source" if m == ORIGIN else self.plan.members[m].name for m in senders]
        named = ", ".join(names) or "an earlier run"
        if not broken:
            broken = [
                number
                for number, _segment in self.prover.pieces_of[file]
                if any(p.crcs[number] not in (0, self.ledger.crcs[number]) for p in self.ledger.peers.values())
            ]
        if not broken and not senders:
            # Nothing of it came in this run, so what an earlier one left is wrong.
            broken = [number for number, _segment in self.prover.pieces_of[file]]
        if not broken or self.wrong[file] >= MOST_WRONG:
            raise LaneError(
                "%s has another sha256 than the manifest, as it came from %s: the file was changed there since it was "
                "proven, or the disk or memory of that host is bad; verify the weights there in full" % (name, named)
            )
        self._tell(warning="%s arrived wrong in %d pieces, which are brought again" % (name, len(broken)))
        for number in broken:
            self.done_bytes -= self.pieces[number].length
            self.again_bytes += self.pieces[number].length
            self.ledger.lost(number)
            self._say_all(wire.LOST, number)
        for connection in list(self.connections.values()):
            connection.say(wire.NEXT, 0, GIVEN_WINDOW)

    # small things

    def _say_all(self, kind: int, piece: int, number: int = 0) -> None:
        for connection in self.connections.values():
            connection.say(kind, piece, number)

    def _failed(self, error: StoreError) -> None:
        raise LaneError(str(error)) from (error if isinstance(error, DiskFullError) else None)

    def _post(self, event: Callable[[], None]) -> None:
        """From a thread: lets the loop do something."""
        self.events.append(event)
        with contextlib.suppress(BlockingIOError):
            os.write(self.wake_write, b".")

    def _buffer(self) -> bytearray:
        try:
            return self.spare.pop()
        except IndexError:
            return bytearray(self.plan.piece_size)

    def _spare(self, view: memoryview) -> None:
        if len(self.spare) < 2 * WRITERS + READERS and isinstance(view.obj, bytearray):
            self.spare.append(view.obj)

    def _sync_soon(self) -> None:
        files, self.unsynced, self.unsynced_bytes = self.unsynced, set(), 0
        self.syncing, self.last_sync = True, self.now

        def sync() -> None:
            try:
                for file in files:
                    self.store.sync(file)
                self._post(self._synced)
            except StoreError as error:
                self._post(functools.partial(self._failed, error))

        self.syncer.submit(sync)

    def _synced(self) -> None:
        self.syncing = False
        # Ranges noted while the disk was busy are said to be sure too early; their crc32 is compared all the same
        # when a file turns out wrong.
        if self.journal is not None:
            self.journal.synced()

    def _sync_now(self) -> None:
        if self.journal is not None and not self.unproven:
            self.journal.close()
            self.journal = None

    def _tell(self, **message: Any) -> None:
        """Says something to the agent; it reads slowly at worst, so this may wait."""
        data = (json.dumps(message) + "\n").encode()
        self.channel.setblocking(True)
        try:
            self.channel.sendall(data)
        except OSError as error:
            if error.errno in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN):
                raise LaneError("the agent is gone") from None
            raise

    def status(self) -> None:
        """Tells the agent how far we are."""
        self.told = self.now
        total = sum(piece.length for piece in self.pieces)
        self._tell(
            status={
                "bytes": total,
                "bytes_done": self.done_bytes,
                "bytes_before": self.started_bytes,
                "files": len(self.files),
                "files_done": len(self.files) - len(self.unproven),
                "received": self.received_bytes,
                "sent": self.sent_bytes,
                "again": self.again_bytes,
                "refused": self.refused_pieces,
                "peers": {
                    self.plan.members[member].name: {"received": c.received, "sent": c.sent}
                    for member, c in self.connections.items()
                },
                "unreached": self.callers.unreached(set(self.connections)),
                "waits_for": sorted(
                    self.plan.members[m].name
                    for m in range(len(self.plan.members))
                    if m != self.plan.me and m not in self.done
                ),
                "complete": self.said_done,
                "stalled": self.stalled,
                "from_source": self.origin.read_bytes,
                "source_trouble": self.origin.trouble,
            }
        )
