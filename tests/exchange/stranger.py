"""A program that talks to an agent, as a member that lies or as somebody who is none."""

from __future__ import annotations

import json
import socket
from typing import Any

from mindie_exchange import wire
from mindie_exchange.plan import Plan, read_plan
from tests.exchange.swarm import Swarm


class Stranger:
    """A connection to a member's lane, from somebody who says to be member `me`."""

    def __init__(self, swarm: Swarm, target: int, me: int, lane: int = 0) -> None:
        self.plan: Plan = read_plan(json.dumps(swarm.plan(swarm[me])))
        self.me, self.target, self.lane = me, target, lane
        self.sock = socket.create_connection((swarm[target].address, swarm[target].port), 10)
        self.sock.settimeout(15)

    def greet(self, secret: bytes | None = None, plan: bytes | None = None) -> bytes:
        """Goes through the handshake; returns what it proved with. Raises EOFError when it is refused."""
        nonce = wire.nonce()
        digest = self.plan.digest if plan is None else plan
        self.sock.sendall(wire.PREFACE.pack(wire.MAGIC, self.lane))
        self.sock.sendall(wire.HELLO.pack(self.me, nonce, digest))
        theirs, _answer = wire.ANSWER.unpack(self.read(wire.ANSWER.size))
        known = self.plan.secret if secret is None else secret
        proof = wire.proof(known, b"caller", digest, self.lane, (self.me, self.target), nonce + theirs)
        self.sock.sendall(proof)
        return proof

    def read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.sock.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def say(self, kind: int, piece: int = 0, number: int = 0, payload: bytes = b"") -> None:
        self.sock.sendall(wire.frame(kind, piece, number, len(payload)) + payload)

    def say_have(self, flag: bytes, count: int) -> None:
        """Says that it has all pieces, or none."""
        self.say(wire.HAVE, 0, 0, flag * count + bytes(4 * count))

    def hear(self) -> tuple[int, int, int, bytes]:
        """Returns the next frame: kind, piece, number, payload."""
        kind, piece, number, length = wire.HEADER.unpack(self.read(wire.HEADER.size))
        return kind, piece, number, self.read(length)

    def is_ended(self) -> bool:
        """Whether the other side ends the connection."""
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True

    def __enter__(self) -> Stranger:
        return self

    def __exit__(self, *_: Any) -> None:
        self.sock.close()
