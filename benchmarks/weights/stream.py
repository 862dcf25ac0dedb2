"""One plain TCP stream of a directory's files: the floor. Sender: sendfile; receiver: reads and discards.

python stream.py send ADDRESS PORT DIRECTORY     waits for one connection
python stream.py receive ADDRESS PORT            prints the bytes and the seconds they took
"""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

BUFFER = 1 << 20
CONNECT_S = 10.0


def send(address: str, port: int, directory: Path) -> None:
    """Sends all files to the first that connects."""
    with socket.create_server((address, port)) as server:
        connection, _ = server.accept()
    with connection:
        for path in sorted(directory.iterdir()):
            with path.open("rb") as file:
                connection.sendfile(file)


def receive(address: str, port: int) -> tuple[int, float]:
    """Bytes and seconds from the connection to its end."""
    buffer = bytearray(BUFFER)
    total = 0
    with connected(address, port) as connection:
        began = time.monotonic()
        while count := connection.recv_into(buffer):
            total += count
        return total, time.monotonic() - began


def connected(address: str, port: int) -> socket.socket:
    """A connection to a sender that is about to listen. Raises OSError when it does not."""
    until = time.monotonic() + CONNECT_S
    while True:
        try:
            return socket.create_connection((address, port), timeout=CONNECT_S)
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


if __name__ == "__main__":
    if sys.argv[1] == "send":
        send(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    else:
        print(*receive(sys.argv[2], int(sys.argv[3])))
