# SPDX-License-Identifier: Apache-2.0
"""One connection to another member: the handshake, then frames both ways, without ever blocking."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections import deque
from typing import Any, Callable, NamedTuple

from mindie_exchange import wire

# What one turn of the loop reads or writes at most on one connection.
TURN_BYTES = 4 * 1024 * 1024
TLS_BLOCK = 128 * 1024
# Under a limit of the rate frames are small, so that news and signs of life come between them.
SMALLEST_FRAME = 16 * 1024
# So many pieces may be on the way without an answer: no more can be lost with the connection.
MOST_UNANSWERED = 2
UNACKNOWLEDGED_MS = 10_000


# What a file says that cannot be read, and a connection never.
FILE_ERRORS = (errno.EIO, errno.ESTALE, errno.ENXIO, errno.EREMOTEIO, errno.EBADMSG, errno.EUCLEAN)


class ClosedError(Exception):
    """The connection ended; the text says why. `piece`: the one whose file could not be read while it was sent."""

    def __init__(self, text: str, piece: int | None = None) -> None:
        super().__init__(text)
        self.piece = piece


class Part(NamedTuple):
    """Bytes to send: of an open file (`number`), or of memory."""

    number: int
    memory: memoryview | None
    offset: int
    length: int


class Outgoing:
    """A piece that is being sent. `release` is called once, when nothing of it is needed any more."""

    def __init__(self, piece: int, crc: int, parts: list[Part], release: Callable[[], None]) -> None:
        self.piece = piece
        self.crc = crc
        self.parts = deque(parts)
        self.begun = False
        self.sent = 0
        self.release = release


class Handler:
    """What a connection tells its owner."""

    def opened(self, connection: Connection) -> None:
        raise NotImplementedError

    def heard(self, connection: Connection, kind: int, piece: int, number: int, payload: bytearray | None) -> None:
        raise NotImplementedError

    def buffer_for(self, connection: Connection, piece: int, offset: int, length: int) -> memoryview:
        """Returns where the payload of a DATA frame goes."""
        raise NotImplementedError

    def may_send(self, most: int) -> int:
        """Returns how many bytes of data may be sent now, at most `most`; 0 or less: none."""
        raise NotImplementedError

    def may_receive(self, most: int) -> int:
        """Returns how many bytes of data may be received now, at most `most`; 0 or less: none."""
        raise NotImplementedError

    def moved(self, connection: Connection, received: int, sent: int) -> None:
        raise NotImplementedError

    def unsent(self, piece: int) -> None:
        """The connection ended because the piece's file could not be read."""
        raise NotImplementedError


class Identity(NamedTuple):
    """What the handshake needs."""

    secret: bytes
    plan: bytes
    lane: int
    me: int
    members: int
    largest_have: int


class Connection:
    """`member` is the other side: known from the beginning where we call, after the handshake where we are called."""

    def __init__(self, sock: Any, identity: Identity, handler: Handler, member: int | None, now: float) -> None:
        self.sock = sock
        self.identity = identity
        self.handler = handler
        self.member = member
        self.caller = member is not None
        self.open = False
        self.began = self.last_heard = self.last_said = now
        self.last_data = now
        self._control = bytearray()
        self._left: memoryview | None = None
        self._frame: Part | None = None
        self.queue: deque[Outgoing] = deque()
        # pieces of which something was sent and that the other side has not answered yet
        self.unanswered: set[int] = set()
        self._tls_block = b""
        self._tls = type(sock) is not socket.socket
        # What is raised where a socket that blocks would wait.
        self._waits_to_read: tuple[type[OSError], ...] = (BlockingIOError,)
        self._waits_to_write: tuple[type[OSError], ...] = (BlockingIOError,)
        if self._tls:
            import ssl  # here and not above: it is a good part of the start-up

            self._waits_to_read += (ssl.SSLWantReadError,)
            self._waits_to_write += (ssl.SSLWantWriteError,)
        self._waits = self._waits_to_read + self._waits_to_write
        self._tls_shaking = self._tls
        # The caller speaks first.
        self._tls_wants_write = self.caller
        self._silent = False
        self._mine = wire.nonce()
        self._theirs = b""
        self._kind = self._piece = self._number = 0
        self._payload: bytearray | None = None
        self._expect(wire.HELLO.size if not self.caller else wire.ANSWER.size, self._greeted)
        if self.caller:
            self._control += wire.HELLO.pack(identity.me, self._mine, identity.plan)

    def fileno(self) -> int:
        return int(self.sock.fileno())

    @property
    def wants_write(self) -> bool:
        if self._tls_shaking:
            return self._tls_wants_write
        return bool(self._left is not None or self._control or self._frame or self._next_piece())

    @property
    def unread(self) -> int:
        """How many bytes of the data frame that is being read have not come yet."""
        return len(self._view) - self._got if self._kind == wire.DATA else 0

    @property
    def wants_read(self) -> bool:
        return not self.open or self.handler.may_receive(1) > 0

    def say(self, kind: int, piece: int = 0, number: int = 0, payload: bytes = b"") -> None:
        """Queues a frame that goes before data."""
        self._control += wire.frame(kind, piece, number, len(payload))
        self._control += payload

    def send_piece(self, outgoing: Outgoing) -> None:
        self.queue.append(outgoing)

    def answered(self, piece: int) -> None:
        """The other side has the piece, or has no use for it."""
        self.unanswered.discard(piece)

    def cancel(self, piece: int) -> None:
        """Does not send a piece that has not begun."""
        for outgoing in list(self.queue):
            if outgoing.piece == piece and not outgoing.begun:
                self.queue.remove(outgoing)
                outgoing.release()

    def farewell(self, now: float) -> bool:
        """Sends what is queued and says that nothing more comes. Returns whether the other side has heard all of it.

        Whoever closes a connection with something unread in it may take from the other side what it has not read yet.
        Raises ClosedError.
        """
        self.writable(now)
        if self._left is None and not self._control and not self._frame and not self._silent:
            self._silent = True
            with contextlib.suppress(OSError):  # then reading tells
                self.sock.shutdown(socket.SHUT_WR)
        try:
            while self._silent:
                if not self.sock.recv(65536):
                    return True
        except self._waits:
            return False
        except OSError:
            return True
        return False

    def close(self) -> None:
        while self.queue:
            self.queue.popleft().release()
        with contextlib.suppress(OSError):  # it is gone either way
            self.sock.close()

    # reading

    def _expect(self, length: int, then: Callable[[], None], view: memoryview | None = None) -> None:
        self._view = memoryview(bytearray(length)) if view is None else view
        self._got, self._then = 0, then

    def readable(self, now: float) -> None:
        """Takes what has come. Raises ClosedError, WireError."""
        if self._tls_shaking and not self._shake():
            return
        budget = self.handler.may_receive(TURN_BYTES)
        # What TLS has read already wakes nobody up.
        while budget > 0 or (self._tls and self.sock.pending()):
            try:
                count = self.sock.recv_into(self._view[self._got : self._got + max(SMALLEST_FRAME, budget)])
            except self._waits:
                return
            except OSError as error:
                raise ClosedError(error.strerror or str(error)) from None
            if not count:
                raise ClosedError("the other side ended the connection")
            self.last_heard = now
            budget -= count
            self._got += count
            if self._kind == wire.DATA:
                self.last_data = now
                self.handler.moved(self, count, 0)
            if self._got == len(self._view):
                self._then()

    def _greeted(self) -> None:
        identity = self.identity
        said = bytes(self._view)
        if self.caller:
            self._theirs, answer = wire.ANSWER.unpack(said)
            if not wire.same(answer, self._proof(b"called")):
                raise wire.WireError("it does not know the secret of this run")
            self._control += self._proof(b"caller")
            self._opened()
            return
        member, self._theirs, plan = wire.HELLO.unpack(said)
        if plan != identity.plan:
            raise wire.WireError("it follows another plan")
        if member >= identity.members or member == identity.me:
            raise wire.WireError("it says that it is member %d" % member)
        self.member = member
        self._control += wire.ANSWER.pack(self._mine, self._proof(b"called"))
        self._expect(wire.PROOF_BYTES, self._proven)

    def _proof(self, role: bytes) -> bytes:
        identity, other = self.identity, self.member
        assert other is not None
        pair = (identity.me, other) if self.caller else (other, identity.me)
        nonces = self._mine + self._theirs if self.caller else self._theirs + self._mine
        return wire.proof(identity.secret, role, identity.plan, identity.lane, pair, nonces)

    def _proven(self) -> None:
        if not wire.same(bytes(self._view), self._proof(b"caller")):
            raise wire.WireError("it does not know the secret of this run")
        self._opened()

    def _opened(self) -> None:
        self.open = True
        self._expect(wire.HEADER.size, self._headed)
        self.handler.opened(self)

    def _headed(self) -> None:
        self._kind, self._piece, self._number, length = wire.HEADER.unpack(self._view)
        if self._kind == wire.DATA:
            if not 0 < length <= wire.LARGEST_DATA:
                raise wire.WireError("a DATA frame of %d bytes" % length)
            view = self.handler.buffer_for(self, self._piece, self._number, length)
            self._expect(length, self._loaded, view)
            return
        if length > (self.identity.largest_have if self._kind == wire.HAVE else 0):
            raise wire.WireError("a frame of kind %d with %d bytes" % (self._kind, length))
        self._payload = bytearray(length) if length else None
        if self._payload is None:
            self._heard()
        else:
            self._expect(length, self._heard, memoryview(self._payload))

    def _loaded(self) -> None:
        self._kind = 0
        self._expect(wire.HEADER.size, self._headed)

    def _heard(self) -> None:
        payload, self._payload = self._payload, None
        kind, self._kind = self._kind, 0
        self._expect(wire.HEADER.size, self._headed)
        self.handler.heard(self, kind, self._piece, self._number, payload)

    # writing

    def writable(self, now: float) -> None:
        """Sends what may be sent. Raises ClosedError."""
        if self._tls_shaking and not self._shake():
            return
        budget = TURN_BYTES
        while budget > 0:
            count = self._write_some()
            if count is None:
                return
            self.last_said = now
            budget -= count

    def _write_some(self) -> int | None:
        """Sends once; returns the bytes, or None when nothing can or may be sent now."""
        try:
            if self._left is not None:
                count = self.sock.send(self._left)
                self._left = self._left[count:] if count < len(self._left) else None
                return int(count)
            if self._frame is not None:
                return self._write_frame(self._frame)
            if self._control:
                self._left = memoryview(bytes(self._control))
                self._control.clear()
                return 0
            outgoing = self._next_piece()
            if outgoing is not None:
                self._begin_frame(outgoing)
                return 0
            return None
        except self._waits:
            return None
        except OSError as error:
            if error.errno == errno.EINTR:
                return 0
            piece = self.queue[0].piece if self._frame is not None and error.errno in FILE_ERRORS else None
            raise ClosedError(error.strerror or str(error), piece) from None

    def _next_piece(self) -> Outgoing | None:
        """Returns the piece that may be sent now, or sent on."""
        if not self.open or not self.queue or self.handler.may_send(1) <= 0:
            return None
        outgoing = self.queue[0]
        return outgoing if outgoing.begun or len(self.unanswered) < MOST_UNANSWERED else None

    def _begin_frame(self, outgoing: Outgoing) -> None:
        outgoing.begun = True
        self.unanswered.add(outgoing.piece)
        part = outgoing.parts[0]
        length = min(part.length, max(SMALLEST_FRAME, self.handler.may_send(wire.FRAME_BYTES)))
        self._left = memoryview(wire.frame(wire.DATA, outgoing.piece, outgoing.sent, length))
        self._frame = part._replace(length=length)

    def _write_frame(self, frame: Part) -> int:
        if frame.memory is not None:
            count = self.sock.send(frame.memory[frame.offset : frame.offset + frame.length])
        elif self._tls:
            # A TLS socket wants the same bytes again after it said "later".
            if not self._tls_block:
                self._tls_block = os.pread(frame.number, min(TLS_BLOCK, frame.length), frame.offset)
            count = self.sock.send(self._tls_block) if self._tls_block else 0
            self._tls_block = self._tls_block[count:]
        else:
            count = os.sendfile(self.sock.fileno(), frame.number, frame.offset, frame.length)
        if not count:
            raise ClosedError("a file became shorter while it was sent", self.queue[0].piece)
        self.handler.moved(self, 0, count)
        outgoing = self.queue[0]
        outgoing.sent += count
        part = outgoing.parts[0]
        outgoing.parts[0] = part._replace(offset=part.offset + count, length=part.length - count)
        left = frame.length - count
        self._frame = frame._replace(offset=frame.offset + count, length=left) if left else None
        if not left and not outgoing.parts[0].length:
            outgoing.parts.popleft()
            if not outgoing.parts:
                self.queue.popleft()
                # SUM must follow the last byte, before any news.
                self._control[:0] = wire.frame(wire.SUM, outgoing.piece, outgoing.crc)
                outgoing.release()
        return int(count)

    def _shake(self) -> bool:
        self._tls_wants_write = False
        try:
            self.sock.do_handshake()
        except self._waits_to_read:
            return False
        except self._waits_to_write:
            self._tls_wants_write = True
            return False
        except (OSError, ValueError) as error:
            raise ClosedError("TLS: %s" % error) from None
        self._tls_shaking = self._tls_wants_write = False
        return True


def tune(sock: socket.socket) -> None:
    """Sets what a connection of the exchange needs: no waiting for full packets, and an early end when nothing is
    acknowledged any more (a cable pulled for a second costs two otherwise, a minute costs a quarter of an hour)."""
    sock.setblocking(False)
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
