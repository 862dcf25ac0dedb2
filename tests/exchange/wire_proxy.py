"""A wire between two members that can be frozen, cut, and made to flip bits."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable, Iterator

from tests.exchange.swarm import Swarm

Change = Callable[[bytes], bytes]
NOBODY = 1  # a port where nobody listens


class Wire(threading.Thread):
    """Listens where callers are sent and passes on to `target` what they say, and back what it answers.

    `back`, `forth`: what happens to the bytes that go from the target to the caller, and the other way.
    """

    def __init__(self, address: str, target: tuple[str, int]) -> None:
        super().__init__(daemon=True)
        self._target = target
        self._listener = socket.create_server((address, 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self._other: dict[socket.socket, socket.socket] = {}
        self._callers: set[socket.socket] = set()
        self._wake, self._waker = socket.socketpair()
        self.frozen = False
        self.back: Change = bytes
        self.forth: Change = bytes
        self.passed = 0

    def run(self) -> None:
        while True:
            watched = [self._wake, *(() if self.frozen else (self._listener, *self._other))]
            for sock in select.select(watched, [], [], 0.05)[0]:
                if sock is self._wake:
                    return
                if self.frozen:
                    break
                if sock is self._listener:
                    self._accept()
                elif sock in self._other:
                    self._pass_on(sock)

    def _accept(self) -> None:
        caller = self._listener.accept()[0]
        try:
            called = socket.create_connection(self._target, 3)
        except OSError:
            caller.close()
            return
        called.settimeout(None)
        self._other[caller], self._other[called] = called, caller
        self._callers.add(caller)

    def _pass_on(self, sock: socket.socket) -> None:
        other = self._other[sock]
        try:
            data = sock.recv(65536)
            change = self.forth if sock in self._callers else self.back
            other.sendall(change(data))
        except OSError:
            data = b""
        self.passed += len(data)
        if not data:
            self._cut(sock)

    def _cut(self, sock: socket.socket) -> None:
        other = self._other.pop(sock)
        del self._other[other]
        self._callers -= {sock, other}
        sock.close()
        other.close()

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self._waker.send(b".")
        self.join(10)
        for sock in [self._listener, self._wake, self._waker, *self._other]:
            sock.close()


@contextlib.contextmanager
def wired(swarm: Swarm, *ways: tuple[int, int]) -> Iterator[list[Wire]]:
    """Puts a wire into each of these ways (caller, called) of a swarm; the earlier member calls the later one."""
    found = []
    for caller, called in ways:
        target = swarm[called]
        found.append(Wire(target.address, (target.address, target.port)))
        swarm.routes[(caller, called)] = found[-1].address
        # The later one would knock past the wire.
        swarm.routes[(called, caller)] = (target.address, NOBODY)
        found[-1].start()
    try:
        yield found
    finally:
        for one in found:
            one.end()


def flipping(after: int, times: int = 1, every: int = 200_000) -> Change:
    """Flips a bit in what passes, from byte `after` on, so often."""
    seen = 0
    left = times
    at = after

    def change(data: bytes) -> bytes:
        nonlocal seen, left, at
        begin, seen = seen, seen + len(data)
        if left and begin <= at < seen:
            changed = bytearray(data)
            changed[at - begin] ^= 16
            left, at = left - 1, at + every
            return bytes(changed)
        return data

    return change
