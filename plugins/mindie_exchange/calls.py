# SPDX-License-Identifier: Apache-2.0
"""How connections come about: who calls whom, again and again; and how the agent hands accepted ones to its lanes."""

from __future__ import annotations

import array
import contextlib
import errno
import os
import select
import socket
from typing import TYPE_CHECKING, Any, NamedTuple

from mindie_exchange import wire
from mindie_exchange.plan import Member, Plan

if TYPE_CHECKING:
    import ssl
    import subprocess

CONNECT_S = 3.0
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0
# So often it is looked whether a call was answered.
ANSWER_S = 0.02
# What the agent says to a lane.
CONNECTION, END = b"c", b"e"


class Attempt(NamedTuple):
    """A call on its way."""

    sock: socket.socket
    since: float


class Callers:
    """Calls the members that we must call: of two members the earlier in the plan calls, unless only one of the two
    can (`dials`). A member that TCP does not reach is called by its command, when it has one.

    The later one knocks once, when it starts: the earlier one may have called in vain before and be in a long pause.
    """

    def __init__(self, plan: Plan, lane: int) -> None:
        self._plan, self._lane = plan, lane
        self._next: dict[int, float] = {m: 0.0 for m in range(len(plan.members)) if self._we_call(m)}
        self._knocks = {m for m in range(len(plan.members)) if self._we_knock(m)}
        self._pauses: dict[int, float] = {}
        self._attempts: dict[int, Attempt] = {}
        self._why: dict[int, str] = {}
        self._by_command: set[int] = set()
        self._children: list[subprocess.Popen[bytes]] = []

    def _we_call(self, other: int) -> bool:
        me = self._plan.me
        if other == me:
            return False
        mine, theirs = self._plan.members[me].dials, self._plan.members[other].dials
        return me < other if mine == theirs else mine

    def _we_knock(self, other: int) -> bool:
        members, me = self._plan.members, self._plan.me
        return other < me and not members[me].dials and not members[other].dials and not members[other].command

    def is_knock(self, member: int, caller: bool) -> bool:
        """Whether a connection to a member, with us as its caller or not, was made by the one that only knocks."""
        return (member in self._next) is not caller

    def next_due(self, now: float, connected: set[int]) -> float:
        """Returns when due() may have something to do."""
        if self._attempts:
            return now + ANSWER_S
        times = [when for member, when in self._next.items() if member not in connected]
        return min(times, default=now + LONGEST_PAUSE_S)

    def due(self, now: float, connected: set[int]) -> list[tuple[int, socket.socket]]:
        """Returns connections that are there now, by member; begins calls that are due.

        `connected`: the members that there is a connection to, or a greeting under way.
        """
        self._children = [child for child in self._children if child.poll() is None]
        ready: list[tuple[int, socket.socket]] = []
        for member, attempt in list(self._attempts.items()):
            if member in connected:
                # It knocked in the meantime.
                del self._attempts[member]
                attempt.sock.close()
                continue
            writable = is_writable(attempt.sock)
            if not writable and now - attempt.since < CONNECT_S:
                continue
            del self._attempts[member]
            reason = attempt.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if writable else errno.ETIMEDOUT
            if reason:
                attempt.sock.close()
                self._failed(member, os.strerror(reason), now)
            else:
                self._greet(ready, member, attempt.sock, now)
        while self._knocks:
            member = self._knocks.pop()
            if member not in connected:
                self._call(ready, member, now)
        for member, when in self._next.items():
            if when <= now and member not in connected and member not in self._attempts:
                # A call that got through is not repeated before it has had time to be answered.
                self._next[member] = now + CONNECT_S + self._pause(member)
                self._call(ready, member, now)
        return ready

    def _call(self, ready: list[tuple[int, socket.socket]], member: int, now: float) -> None:
        other = self._plan.members[member]
        try:
            if member in self._by_command:
                self._greet(ready, member, self._run(other), now)
                return
            family = socket.AF_INET6 if ":" in other.address else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setblocking(False)
            reason = sock.connect_ex((other.address, other.port))
            if reason not in (0, errno.EINPROGRESS):
                sock.close()
                self._failed(member, os.strerror(reason), now)
            else:
                self._attempts[member] = Attempt(sock, now)
        except OSError as error:
            self._failed(member, error.strerror or str(error), now)

    def _run(self, other: Member) -> socket.socket:
        """Starts the command; what it reads and writes is the connection."""
        import subprocess  # seldom needed, and a part of the start-up

        ours, theirs = socket.socketpair()
        try:
            number = theirs.fileno()
            child = subprocess.Popen(
                list(other.command), stdin=number, stdout=number, stderr=subprocess.DEVNULL, start_new_session=True
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._children.append(child)
        return ours

    def _greet(self, ready: list[tuple[int, socket.socket]], member: int, sock: socket.socket, now: float) -> None:
        try:
            sock.send(wire.PREFACE.pack(wire.MAGIC, self._lane))
        except OSError as error:
            sock.close()
            self._failed(member, error.strerror or str(error), now)
            return
        ready.append((member, sock))

    def _failed(self, member: int, why: str, now: float) -> None:
        self._why[member] = why
        if member not in self._next:
            return
        if self._plan.members[member].command:
            # The two ways are tried by turns until one of them works.
            self._by_command ^= {member}
        self._pauses[member] = min(LONGEST_PAUSE_S, 2 * self._pause(member))
        self._next[member] = now + self._pauses[member]

    def _pause(self, member: int) -> float:
        return self._pauses.get(member, FIRST_PAUSE_S / 2)

    def reached(self, member: int) -> None:
        """The member answered and knows the secret."""
        self._pauses.pop(member, None)
        self._why.pop(member, None)

    def lost(self, member: int, why: str, now: float) -> None:
        """The connection to a member ended."""
        if why:
            self._why[member] = why
        if member in self._next:
            self._pauses[member] = min(LONGEST_PAUSE_S, 2 * self._pause(member))
            self._next[member] = now + self._pauses[member]

    def unreached(self, connected: set[int]) -> dict[str, str]:
        """Returns by name the members that there is no connection to, and why as far as it is known."""
        plan = self._plan
        return {
            plan.members[m].name: self._why.get(m, "it has not called" if m not in self._next else "")
            for m in range(len(plan.members))
            if m != plan.me and m not in connected
        }


def is_writable(sock: socket.socket) -> bool:
    """Whether a call has been answered or refused. (select() cannot take the numbers that a busy process has.)"""
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    return bool(poll.poll(0))


class Tls(NamedTuple):
    """Contexts for calling and for being called."""

    caller: ssl.SSLContext
    called: ssl.SSLContext


def tls_contexts(plan: Plan) -> Tls | None:
    """Returns contexts that accept the run's own certificate and no other, or None without encryption.

    Raises OSError (ssl.SSLError) for a certificate or key that is none.
    """
    if not plan.tls:
        return None
    import ssl  # here and not above: both are a good part of the start-up
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".pem") as chain:
        chain.write(plan.tls["key"] + "\n" + plan.tls["certificate"] + "\n")
        chain.flush()
        contexts = []
        for purpose in (ssl.Purpose.SERVER_AUTH, ssl.Purpose.CLIENT_AUTH):
            context = ssl.create_default_context(purpose, cadata=plan.tls["certificate"])
            context.check_hostname = False
            context.verify_mode = ssl.CERT_REQUIRED
            # The certificate itself is known; what authorities must write into theirs does not matter.
            context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
            context.load_cert_chain(chain.name)
            contexts.append(context)
    return Tls(contexts[0], contexts[1])


def wrap(tls: Tls | None, sock: socket.socket, caller: bool) -> Any:
    """Returns the socket, encrypted when the plan says so. Raises OSError."""
    if tls is None:
        return sock
    context = tls.caller if caller else tls.called
    return context.wrap_socket(sock, server_side=not caller, do_handshake_on_connect=False)


def send_socket(channel: socket.socket, sock: socket.socket) -> None:
    """Hands an accepted connection to a lane. Raises OSError, at once when the lane takes nothing any more."""
    rights = array.array("i", [sock.fileno()])
    channel.sendmsg([CONNECTION], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)], socket.MSG_DONTWAIT)


def let_end(channel: socket.socket) -> None:
    """Tells a lane that all lanes are finished, so it may end. Raises OSError."""
    channel.sendmsg([END], [], socket.MSG_DONTWAIT)


def receive_socket(channel: socket.socket) -> tuple[bytes, int | None]:
    """Returns (CONNECTION, descriptor) or (END, None); an empty message when the agent is gone."""
    space = socket.CMSG_SPACE(array.array("i").itemsize)
    with contextlib.suppress(BlockingIOError):
        message, rights, _flags, _address = channel.recvmsg(1, space)
        for level, kind, data in rights:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(data[: numbers.itemsize])
                return message, numbers[0]
        return message, None
    return b"-", None
