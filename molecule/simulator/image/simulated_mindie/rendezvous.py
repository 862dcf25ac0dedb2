"""The meeting of the hosts over TCP at container_ip:multiNodesInferPort, patient and blind as the real (source 4.2).

One JSON line a message. follower -> leader: register, blocks (KV blocks after loading), done (a step's answer);
leader -> follower: registered, start (all have loaded), step (work for one request).
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from .knobs import Knobs
from .log import Log


class RendezvousError(RuntimeError):
    """The follower gave up; nobody catches it in the real one, so the process aborts (source 4.2)."""


class Peer:
    """One follower as the leader sees it. Its death is noticed only by what does not come back."""

    def __init__(self, connection: socket.socket, address: str, digest: str) -> None:
        self.address = address
        self.digest = digest
        self.blocks: int | None = None
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        """Writes and forgets: a write to a dead follower fails silently, the registration stays (source 4.3)."""
        try:
            with self._lock:
                self._connection.sendall((json.dumps(message) + "\n").encode())
        except OSError:
            return


class Leader:
    """Listens, waits for all followers without limit, and shares out the steps of each request."""

    def __init__(self, address: str, port: int, followers: int, digest: str, tls: bool, log: Log) -> None:
        self._where = (address, port)
        self._followers = followers
        self._digest = digest
        self._tls = tls
        self._log = log
        self._peers: dict[str, Peer] = {}
        self._state = threading.Condition()
        self._steps: dict[int, set[str]] = {}
        self._next_step = 0

    @property
    def tables_agree(self) -> bool:
        """Whether all followers read the same bytes as rank table."""
        return all(peer.digest == self._digest for peer in self._peers.values())

    def gather(self) -> None:
        """Returns when as many different addresses as followers have registered; waits for ever otherwise."""
        self._log.info("GRPCCommunicator: Start to init as Master")
        listener = self._listen()
        if listener is not None:
            threading.Thread(target=self._accept, args=(listener,), name="GRPCServer", daemon=True).start()
        self._log.info("GRPCCommunicator: wait slave connecting...")
        with self._state:
            # Source 4.2: no time limit; also when the port was taken, in which case nobody can ever come.
            self._state.wait_for(lambda: len(self._peers) >= self._followers)
        self._log.info(f"GRPCCommunicator: All {self._followers} slaves connected")

    def agree(self, blocks: int) -> int:
        """The smallest KV block count of all hosts (source 4.1 step 6); waits for ever for one that died."""
        with self._state:
            self._state.wait_for(lambda: all(peer.blocks is not None for peer in self._peers.values()))
            smallest = min([blocks, *(peer.blocks or 0 for peer in self._peers.values())])
        for peer in self._peers.values():
            peer.send({"kind": "start", "blocks": smallest})
        return smallest

    def step(self, deadline: float) -> bool:
        """One round of work with every follower; False when not all have answered by `deadline` (monotonic)."""
        with self._state:
            number = self._next_step
            self._next_step += 1
            self._steps[number] = set(self._peers)
        for peer in self._peers.values():
            peer.send({"kind": "step", "number": number})
        with self._state:
            left = max(0.0, deadline - time.monotonic())
            done = self._state.wait_for(lambda: not self._steps[number], timeout=left)
            del self._steps[number]
        return done

    def _listen(self) -> socket.socket | None:
        family = socket.AF_INET6 if ":" in self._where[0] else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(self._where)
            listener.listen(64)
        except OSError as error:
            # Source 4.2: an error line and then a wait without end, not an exit.
            self._log.error(f"Failed to start gRPC server on port {self._where[1]}: {error}")
            listener.close()
            return None
        encryption = "TLS" if self._tls else "no encryption"
        self._log.info(f"gRPC server started on port {self._where[1]} with {encryption}")
        return listener

    def _accept(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self._serve, args=(connection,), name="GRPCStream", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer: Peer | None = None
        for message in _messages(connection):
            kind = message.get("kind")
            if kind == "register":
                # One side with TLS and one without cannot talk at all.
                if bool(message.get("tls")) != self._tls:
                    connection.close()
                    return
                peer = Peer(connection, str(message.get("slave_ip")), str(message.get("digest")))
                with self._state:
                    # Source 4.2: counted by address, no check of who it is.
                    self._peers[peer.address] = peer
                    self._state.notify_all()
                peer.send({"kind": "registered", "digest": self._digest})
            elif kind == "blocks" and peer is not None:
                with self._state:
                    peer.blocks = int(message["blocks"])
                    self._state.notify_all()
            elif kind == "done" and peer is not None:
                with self._state:
                    self._steps.get(int(message["number"]), set()).discard(peer.address)
                    self._state.notify_all()
        # The stream ends silently; the registration stays (source 4.3).


class Follower:
    """Dials the leader 120 times, registers, and from then on answers steps until it is ended itself."""

    def __init__(self, leader: str, port: int, own: str, digest: str, tls: bool, log: Log) -> None:
        self._where = (leader, port)
        self._hello = {"kind": "register", "slave_ip": own, "digest": digest, "tls": tls}
        self._digest = digest
        self._log = log
        self._connection: socket.socket | None = None
        self._state = threading.Condition()
        self._leader_digest: str | None = None
        self._agreed: int | None = None

    @property
    def tables_agree(self) -> bool:
        """Whether the leader read the same bytes as rank table."""
        return self._leader_digest == self._digest

    def join(self, knobs: Knobs) -> None:
        """Raises RendezvousError after the last of `register_tries` (source 4.2: 120 tries a second apart)."""
        self._log.info(f"GRPCCommunicator: Start to init as Slave (IP={self._hello['slave_ip']})")
        for _ in range(knobs.register_tries):
            self._log.info(f"GRPCCommunicator: attempting connection to server at IP = {self._where[0]}, "
                           f"port = {self._where[1]}")  # fmt: skip
            if self._try():
                self._log.info("Registration succeeded")
                return
            self._log.warn("Failed to establish bidirectional stream to master. Retrying.")
            time.sleep(knobs.register_pause_seconds)
        self._log.error("Failed to establish connection to master after maximum retries")
        raise RendezvousError("Failed to establish connection to master after maximum retries")

    def agree(self, blocks: int) -> int:
        """Reports the own KV blocks and waits, for ever, for the leader's word."""
        self._send({"kind": "blocks", "blocks": blocks})
        with self._state:
            self._state.wait_for(lambda: self._agreed is not None)
            return self._agreed or 0

    def _try(self) -> bool:
        connection: socket.socket | None = None
        try:
            # Where a firewall drops instead of refusing, a try lasts as long as the connect (source 4.2).
            connection = socket.create_connection(self._where)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall((json.dumps(self._hello) + "\n").encode())
            messages = _messages(connection)
            answer = next(messages, None)
        except OSError:
            answer = None
        if connection is None or answer is None or answer.get("kind") != "registered":
            if connection is not None:
                connection.close()
            return False
        self._connection = connection
        self._leader_digest = str(answer.get("digest"))
        threading.Thread(target=self._listen, args=(messages,), name="GRPCSlave", daemon=True).start()
        return True

    def _listen(self, messages: Iterator[dict[str, Any]]) -> None:
        for message in messages:
            if message.get("kind") == "start":
                with self._state:
                    self._agreed = int(message["blocks"])
                    self._state.notify_all()
            elif message.get("kind") == "step":
                self._send({"kind": "done", "number": message["number"]})
        # Source 4.3: the leader's death is an info line, and the follower keeps running with its NPUs occupied.
        self._log.info("gRPC Slave Worker Thread: stream closed by server")

    def _send(self, message: dict[str, Any]) -> None:
        assert self._connection is not None
        try:
            self._connection.sendall((json.dumps(message) + "\n").encode())
        except OSError as error:
            self._log.error(f"SafeWriteMsgToStream: failed to write message to stream: {error}")


def _messages(connection: socket.socket) -> Iterator[dict[str, Any]]:
    """Messages until the other side closes, breaks off, or sends what is no JSON object."""
    with connection.makefile("rb") as stream:
        while True:
            try:
                line = stream.readline(65536)
                message = json.loads(line) if line.endswith(b"\n") else None
            except (OSError, ValueError):
                return
            if not isinstance(message, dict):
                return
            yield message
