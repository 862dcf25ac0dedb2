# SPDX-License-Identifier: Apache-2.0
"""The connections of a lane: they come, are looked after, and go."""

from __future__ import annotations

import contextlib
import selectors
import socket
from typing import Any, Callable, Iterator

from mindie_exchange import calls, wire
from mindie_exchange.connection import ClosedError, Connection, Handler, Identity, tune
from mindie_exchange.share import Share

HANDSHAKE_S = 10.0
# A member that says nothing for so long is gone; each says "alive" once a second.
SILENT_S = 10.0
ALIVE_EVERY_S = 1.0
# A member that knocks at its start does not replace a connection that is not older than this: it is ours to it.
YOUNG_S = 3.0
# Who has not shown yet that it knows the secret; the oldest goes when there are more.
MOST_STRANGERS = 256


class Links:
    """`members`: the open connections by member. `calls_due`: when call() may have something to do before the next
    tick(). `ended(connection)` is called for each open one that ends."""

    def __init__(
        self,
        share: Share,
        selector: selectors.BaseSelector,
        handler: Handler,
        ended: Callable[[Connection], None],
        now: float,
    ) -> None:
        plan = share.plan
        self._share, self._selector, self._handler, self._ended = share, selector, handler, ended
        self._identity = Identity(
            plan.secret, plan.digest, share.number, plan.me, len(plan.members), 5 * len(share.pieces)
        )
        self._tls = calls.tls_contexts(plan)
        self._callers = calls.Callers(plan, share.number)
        self._strangers: dict[Connection, None] = {}
        self.members: dict[int, Connection] = {}
        self._since: dict[int, float] = {}
        self.calls_due = now
        # by member, bytes received from it and sent to it, over all connections
        self.traffic: dict[int, list[int]] = {}

    def __iter__(self) -> Iterator[Connection]:
        yield from list(self.members.values())
        yield from list(self._strangers)

    def is_open(self, connection: Connection) -> bool:
        """Whether this is the connection to its member."""
        return connection.member is not None and self.members.get(connection.member) is connection

    def add(self, sock: socket.socket, member: int | None, now: float) -> None:
        """Takes a connection that we made to a member, or that somebody made to us."""
        try:
            tune(sock)
            wrapped: Any = calls.wrap(self._tls, sock, member is not None)
        except OSError:
            sock.close()  # it ended already; whoever calls calls again
            return
        while len(self._strangers) >= MOST_STRANGERS:
            self.drop(next(iter(self._strangers)), "", now)
        connection = Connection(wrapped, self._identity, self._handler, member, now)
        self._strangers[connection] = None
        self._selector.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)

    def opened(self, connection: Connection, now: float) -> None:
        """The other side has shown that it knows the secret. A new connection replaces an old one.

        Raises ClosedError when it is not needed.
        """
        member = connection.member
        assert member is not None
        before = self.members.get(member)
        if before is not None:
            if self._callers.is_knock(member, connection.caller) and now - self._since[member] < YOUNG_S:
                raise ClosedError("there is a connection to it already")
            self.drop(before, "it called again", now)
        self._strangers.pop(connection, None)
        self.members[member] = connection
        self._since[member] = now
        # Both may have called. Our own call is not open here, so it is nowhere: nothing is lost with it.
        for other in [one for one in self._strangers if one.caller and one.member == member]:
            self.drop(other, "", now)
        self._callers.reached(member)

    def drop(self, connection: Connection, why: str, now: float) -> None:
        """Ends a connection."""
        self._strangers.pop(connection, None)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection)
        connection.close()
        if self.is_open(connection):
            assert connection.member is not None
            del self.members[connection.member]
            self._ended(connection)
        # A stranger may say that it is anybody.
        known = connection.member is not None and (connection.open or connection.caller)
        if known and connection.member not in self.members:
            assert connection.member is not None
            self._callers.lost(connection.member, why, now)

    def moved(self, connection: Connection, received: int, sent: int) -> None:
        assert connection.member is not None
        sums = self.traffic.setdefault(connection.member, [0, 0])
        sums[0] += received
        sums[1] += sent

    def say_all(self, kind: int, piece: int = 0, number: int = 0, but: Connection | None = None) -> None:
        for connection in self.members.values():
            if connection is not but:
                connection.say(kind, piece, number)

    def serve(self, connection: Connection, mask: int, now: float) -> None:
        """Reads and writes what can be read and written."""
        if connection not in self._strangers and not self.is_open(connection):
            return  # it was dropped earlier in this turn
        try:
            if mask & selectors.EVENT_WRITE:
                connection.writable(now)
            if mask & selectors.EVENT_READ:
                connection.readable(now)
        except wire.WireError as error:
            self.drop(connection, str(error), now)
        except ClosedError as error:
            self.drop(connection, str(error), now)
            if error.piece is not None:
                self._handler.unsent(error.piece)

    def call(self, now: float) -> None:
        """Makes calls that are due, and says in `calls_due` when others may be."""
        busy = set(self.members) | {one.member for one in self._strangers if one.caller and one.member is not None}
        for member, sock in self._callers.due(now, busy):
            self.add(sock, member, now)
            busy.add(member)
        self.calls_due = self._callers.next_due(now, busy)

    def tick(self, now: float) -> None:
        """Makes calls that are due, ends what is silent, and shows that we are alive."""
        self.call(now)
        for connection in list(self._strangers):
            if now - connection.began > HANDSHAKE_S:
                self.drop(connection, "it did not finish its greeting within %d s" % HANDSHAKE_S, now)
        for connection in list(self.members.values()):
            if now - connection.last_heard > SILENT_S:
                self.drop(connection, "it has said nothing for %d s" % SILENT_S, now)
            elif now - connection.last_said > ALIVE_EVERY_S and not connection.wants_write:
                connection.say(wire.ALIVE)

    def interests(self) -> None:
        """Waits for what each connection wants."""
        for connection in self:
            wanted = (selectors.EVENT_READ if connection.wants_read else 0) | (
                selectors.EVENT_WRITE if connection.wants_write else 0
            )
            try:
                known = self._selector.get_key(connection).events
            except KeyError:
                known = 0
            if known == wanted:
                continue
            if not wanted:
                self._selector.unregister(connection)
            elif not known:
                self._selector.register(connection, wanted, connection)
            else:
                self._selector.modify(connection, wanted, connection)

    def unreached(self) -> dict[str, str]:
        """Returns by name the members without a connection, and why as far as it is known."""
        return self._callers.unreached(set(self.members))
