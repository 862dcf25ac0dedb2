# SPDX-License-Identifier: Apache-2.0
"""Where a member is called: listens, looks which lane a caller wants, and hands the connection to it."""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import time
from typing import Callable

from mindie_exchange import calls, wire
from mindie_exchange.host import AgentError, cannot_listen
from mindie_exchange.plan import Member

GREETING_S = 5.0
MOST_GREETINGS = 256
LISTEN_S = 3.0


class Door:
    """`channel_of(lane)` returns the socket to the lane, or None where there is no such lane at the moment."""

    def __init__(self, selector: selectors.BaseSelector, channel_of: Callable[[int], socket.socket | None]) -> None:
        self._selector, self._channel_of = selector, channel_of
        self._listener: socket.socket | None = None
        # those that have not said which lane they want, the oldest first: since when, and what they said
        self._greetings: dict[socket.socket, tuple[float, bytes]] = {}

    def open(self, member: Member) -> None:
        """Listens on the member's address. Raises AgentError."""
        family = socket.AF_INET6 if ":" in member.address else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        until = time.monotonic() + LISTEN_S
        while True:
            try:
                listener.bind((member.address, member.port))
                listener.listen(256)
                break
            except OSError as error:
                # An agent that was killed may need a moment to be gone.
                if error.errno != errno.EADDRINUSE or time.monotonic() > until:
                    listener.close()
                    raise AgentError(cannot_listen(error, member.address, member.port)) from None
            time.sleep(0.05)
        listener.setblocking(False)
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ, self.accept)

    def accept(self, _listener: socket.socket) -> None:
        """Takes a call."""
        assert self._listener is not None
        try:
            sock = self._listener.accept()[0]
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                # The call stays in the queue; somebody must go before it can be taken.
                if self._greetings:
                    self._forget(next(iter(self._greetings)))
                time.sleep(0.05)
            return
        while len(self._greetings) >= MOST_GREETINGS:
            # Members say at once what they want. Those that wait longest want nothing.
            self._forget(next(iter(self._greetings)))
        sock.setblocking(False)
        self._greetings[sock] = (time.monotonic(), b"")
        self._selector.register(sock, selectors.EVENT_READ, self._greeted)

    def _greeted(self, sock: socket.socket) -> None:
        if sock not in self._greetings:
            return  # it was ended earlier in this turn
        since, said = self._greetings[sock]
        try:
            more = sock.recv(wire.PREFACE.size - len(said))
        except BlockingIOError:
            return
        except OSError:
            more = b""
        said += more
        if more and len(said) < wire.PREFACE.size:
            self._greetings[sock] = (since, said)
            return
        magic, lane = wire.PREFACE.unpack(said) if len(said) == wire.PREFACE.size else (b"", 0)
        channel = self._channel_of(lane) if magic == wire.MAGIC else None
        if channel is not None:
            with contextlib.suppress(OSError):  # the lane is gone or hangs; the caller calls again
                calls.send_socket(channel, sock)
        self._forget(sock)

    def _forget(self, sock: socket.socket) -> None:
        self._greetings.pop(sock, None)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(sock)
        sock.close()

    def tick(self, now: float) -> None:
        """Ends what takes too long."""
        for sock, (since, _said) in list(self._greetings.items()):
            if now - since > GREETING_S:
                self._forget(sock)
