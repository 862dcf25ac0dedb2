"""A local port that leads through SSH to an address that only the host can reach."""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from typing import cast

import paramiko

from mindie_deploy.remote.address import Address
from mindie_deploy.remote.ssh import connected

CHUNK = 65536
OPEN_S = 10.0


@contextlib.contextmanager
def tunnel(through: Address, host: str, port: int) -> Iterator[int]:
    """Gives a port on 127.0.0.1 that leads to host:port as seen from `through`. Raises UnreachableError."""
    with connected(through) as client:
        transport = cast("paramiko.Transport", client.get_transport())
        server = _Server(("127.0.0.1", 0), _handler_of(transport, host, port))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True


def _handler_of(transport: paramiko.Transport, host: str, port: int) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            peer = cast("socket.socket", self.request)
            try:
                channel = transport.open_channel("direct-tcpip", (host, port), peer.getpeername(), timeout=OPEN_S)
            except (paramiko.SSHException, OSError):
                return  # the client sees a closed connection: nothing listens at the other end
            with channel:
                _carry(peer, channel)

    return Handler


def _carry(one: socket.socket, other: paramiko.Channel) -> None:
    """Copies both ways until either side ends; an end of sending is passed on, so that half-closed streams work."""
    open_ends: set[socket.socket | paramiko.Channel] = {one, other}
    while open_ends:
        readable, _, _ = select.select(list(open_ends), [], [], 60)
        for end in readable:
            try:
                data = end.recv(CHUNK)
                target = other if end is one else one
                if data:
                    target.sendall(data)
                    continue
                open_ends.discard(end)
                if target is other:
                    other.shutdown_write()
                else:
                    one.shutdown(socket.SHUT_WR)
            except OSError:
                return
