# SPDX-License-Identifier: Apache-2.0
"""One lane: a process that exchanges its share of the files with the same lane of all other members."""

from __future__ import annotations

import errno
import json
import os
import selectors
import socket
import time
from array import array
from typing import Any

from mindie_exchange import calls, wire
from mindie_exchange.connection import ClosedError, Connection, Handler
from mindie_exchange.judging import Judge
from mindie_exchange.keeping import Keeping
from mindie_exchange.ledger import GIVEN_WINDOW, ORIGIN, Ledger, Peer
from mindie_exchange.links import Links
from mindie_exchange.looking import Found
from mindie_exchange.origin import OriginWork
from mindie_exchange.plan import Plan
from mindie_exchange.rate import Limit
from mindie_exchange.receiving import Receiving
from mindie_exchange.sending import Sending
from mindie_exchange.share import LaneError, Share
from mindie_exchange.store import Store
from mindie_exchange.threads import THREADS, Buffers, Threads

TICK_S = 0.1
STATUS_EVERY_S = 0.5
STALLED_AFTER_S = 2.0
# A piece that a living member does not send for so long, while nothing else comes from it, is asked of another one.
UNSERVED_S = 15.0
# At the start a seeder waits so long for the others to say what they have.
HEAR_FIRST_S = 1.0
# So long we wait for a member that is not here: one that lacked something when it left, and one that had all pieces.
LINGER_S = 600.0
LINGER_FOR_COMPLETE_S = 30.0
# So long we wait for a member that was done and went without a word, to tell it that we are done.
COME_BACK_S = 6.0
# What is said at the end may take so long to be sent.
FLUSH_S = 3.0


class Lane(Handler):
    """The loop, and what the parts do for one another. `channel` leads to the agent that started us."""

    def __init__(self, plan: Plan, number: int, channel: socket.socket) -> None:
        self.plan, self.number, self.channel = plan, number, channel
        self.now = self.began = self.last_progress = time.monotonic()
        self.share = share = Share(plan, number)
        self.store = Store(plan.place, plan.files)
        self.selector = selectors.DefaultSelector()
        self.threads = Threads()
        self.buffers = Buffers(plan.piece_size, 2 * THREADS["write"] + THREADS["read"])
        found = Found(share, self.store)
        self.ledger = Ledger(plan.me, found.have, found.crcs, share.seeders)
        self.links = Links(share, self.selector, self, self._ended, self.now)
        self.keeping = Keeping(share, self.store, self.threads, self.now)
        self.judge = Judge(
            share, self.store, self.ledger, self.links, self.threads, self.buffers, found.unproven,
            lose=self._lose, proven=self._proven, warn=self._warn,
        )  # fmt: skip
        self.sending = Sending(
            share, self.store, self.ledger, self.links, self.threads, self.buffers,
            broken=self.judge.broken, doubted=self._doubted, warn=self._warn,
        )  # fmt: skip
        self.receiving = Receiving(
            share, self.store, self.ledger, self.links, self.threads, self.buffers, self.keeping, self.judge,
            go_on=self._go_on, warn=self._warn,
        )  # fmt: skip
        self.origin = OriginWork(
            plan, share.pieces, self.ledger, self.store, self.threads.post, self.buffers.get, self.judge.wants
        )
        rate = plan.rate_limit / plan.lanes
        self.out_limit, self.in_limit = Limit(rate, self.now), Limit(rate, self.now)
        self.told = 0.0
        self.stalled = False
        self.done: set[int] = set()
        self.said_done = self.finished = self.may_end = False
        self.complete_since = self.now
        # members that said goodbye
        self.left_well: set[int] = set()
        # when members went, and whether they had all pieces then
        self.away: dict[int, tuple[float, bool]] = dict.fromkeys(self._others(), (self.now, False))
        self.hopeless_since: float | None = None
        self.received_bytes = self.sent_bytes = 0
        self.started_bytes = self.receiving.done_bytes

    def _others(self) -> set[int]:
        return set(range(len(self.plan.members))) - {self.plan.me}

    # the loop

    def run(self) -> None:
        """Runs until everything is here, everybody else has everything too, and the other lanes are as far.

        A member that is started again must find all its lanes here, or none. Raises LaneError, StoreError.
        """
        self.selector.register(self.threads.wake, selectors.EVENT_READ, "wake")
        self.selector.register(self.channel, selectors.EVENT_READ, "channel")
        self.judge.begin()
        next_tick = self.now
        while not (self._finished() and self.may_end):
            pause = max(0.0, min(min(next_tick, self.links.calls_due) - time.monotonic(), self._limit_pause()))
            for key, mask in self.selector.select(pause):
                self.now = time.monotonic()
                if key.data == "channel":
                    self._hear_agent()
                elif key.data != "wake":
                    self.links.serve(key.data, mask, self.now)
            self.threads.work_off()
            self.now = time.monotonic()
            self.out_limit.refill(self.now)
            self.in_limit.refill(self.now)
            if self.now >= next_tick:
                next_tick = self.now + TICK_S
                self._tick()
            elif self.now >= self.links.calls_due:
                self.links.call(self.now)
            self.links.interests()
        self._flush()
        if self.sending.unreadable:
            raise LaneError(
                "%s; the others have it all the same: verify the weights of this host in full"
                % "; ".join(sorted(self.sending.unreadable.values())[:5])
            )

    def _limit_pause(self) -> float:
        """Returns after how long something may move again that a limit holds back."""
        pauses = [limit.pause() for limit in (self.out_limit, self.in_limit)]
        return min((pause for pause in pauses if pause), default=TICK_S)

    def _finished(self) -> bool:
        """Whether nothing is left to do in this lane; says so when that changes."""
        finished = self._is_finished()
        if finished != self.finished:
            self.finished, self.may_end = finished, False
            self.status()
        return finished

    def _is_finished(self) -> bool:
        if self.ledger.lacking or self.judge.unproven or self.receiving.writing:
            self.said_done = False
            return False
        if self.sending.reading or self.judge.busy:
            return False
        if not self.said_done:
            self.said_done, self.complete_since = True, self.now
            self.links.say_all(wire.NEXT, 0, 0)
            self.links.say_all(wire.DONE)
        return all(self._need_not_wait_for(member) for member in self._others())

    def _need_not_wait_for(self, member: int) -> bool:
        """Whether a member has everything and knows that we have, or is gone for good."""
        done = member in self.done
        if member in self.links.members or member in self.left_well:
            return done
        since, had_all = self.away[member]
        patience = COME_BACK_S if done else LINGER_FOR_COMPLETE_S if had_all else LINGER_S
        return self.now - max(since, self.complete_since) > patience

    def _flush(self) -> None:
        """Sends what is queued, so that the others hear that we are done, and waits until they have."""
        self.links.say_all(wire.BYE)
        until = time.monotonic() + FLUSH_S
        while self.links.members and time.monotonic() < until:
            for connection in list(self.links.members.values()):
                try:
                    if connection.farewell(time.monotonic()):
                        self.links.drop(connection, "", self.now)
                except ClosedError as error:
                    self.links.drop(connection, str(error), self.now)
            time.sleep(0.005)
        self.judge.end()
        for member in sorted(self._others() - self.done):
            self._warn("%s never said that it has everything, and is gone" % self.share.member(member))
        self.status()

    def _tick(self) -> None:
        self.links.tick(self.now)
        self.judge.tick(self.now)
        self.keeping.tick(self.now)
        for connection in list(self.links.members.values()):
            self._take_back(connection)
        if not self.ledger.pending and self.ledger.lacking and self.now - self.last_progress > STALLED_AFTER_S:
            self.stalled = True
        for member in list(self.links.members):
            self._go_on(member)
        self._read_on()
        self._give_up_hope()
        if self.now - self.told >= STATUS_EVERY_S:
            self.status()

    def _take_back(self, connection: Connection) -> None:
        """Asks others for what a member does not send although it lives."""
        peer = self._peer(connection)
        if peer is None or self.receiving.is_arriving(connection):
            return
        for piece, since in list(peer.asked.items()):
            if self.now - max(since, connection.last_data) > UNSERVED_S:
                connection.say(wire.CANCEL, piece)
                self.ledger.late(peer, piece)

    def _give_up_hope(self) -> None:
        """Ends when a piece is gone everywhere; waits a little, because somebody may still come who has it."""
        hopeless = self.ledger.hopeless() if self.ledger.gone and not self.plan.origin else []
        if not hopeless:
            self.hopeless_since = None
            return
        self.hopeless_since = self.hopeless_since or self.now
        if self.now - self.hopeless_since > STALLED_AFTER_S:
            reasons = ", ".join(
                "%s (%s)" % (self.share.member(member), os.strerror(number) if number else "it changed there")
                for member, number in sorted(self.ledger.gone[hopeless[0]].items())
            )
            raise LaneError(
                "%s cannot be had any more: not from %s, and nobody else has it; mend the file there, verify the "
                "weights there in full, and start the sync again" % (self.share.where(hopeless[0]), reasons)
            )

    # connections

    def _hear_agent(self) -> None:
        """Takes a connection that the agent accepted for us, or that all lanes are finished."""
        message, descriptor = calls.receive_socket(self.channel)
        if not message:
            raise LaneError("the agent is gone")
        if message == calls.END:
            self.may_end = self._finished()
        if descriptor is not None:
            self.links.add(socket.socket(fileno=descriptor), None, self.now)

    def opened(self, connection: Connection) -> None:
        self.links.opened(connection, self.now)
        assert connection.member is not None
        self.left_well.discard(connection.member)
        connection.say(wire.HAVE, 0, 0, bytes(self.ledger.have) + self.ledger.crcs.tobytes())
        if self.ledger.lacking:
            connection.say(wire.NEXT, 0, GIVEN_WINDOW)
        if self.said_done:
            connection.say(wire.DONE)

    def _ended(self, connection: Connection) -> None:
        member = connection.member
        assert member is not None
        peer = self.ledger.peers.get(member)
        self.away[member] = (self.now, peer is not None and all(peer.has))
        self.receiving.ended(connection)
        self.ledger.left(member, self.now)
        self.judge.left(member)

    def _peer(self, connection: Connection) -> Peer | None:
        return None if connection.member is None else self.ledger.peers.get(connection.member)

    def may_send(self, most: int) -> int:
        return self.out_limit.left(most)

    def may_receive(self, most: int) -> int:
        return self.in_limit.left(most)

    def moved(self, connection: Connection, received: int, sent: int) -> None:
        self.received_bytes += received
        self.sent_bytes += sent
        self.out_limit.used(sent)
        self.in_limit.used(received)
        self.links.moved(connection, received, sent)
        if received:
            self.last_progress = self.now

    def unsent(self, piece: int) -> None:
        self.sending.look_at(piece)

    def buffer_for(self, connection: Connection, piece: int, offset: int, length: int) -> memoryview:
        return self.receiving.buffer_for(connection, piece, offset, length)

    # what others say

    def heard(self, connection: Connection, kind: int, piece: int, number: int, payload: bytearray | None) -> None:
        member = connection.member
        assert member is not None
        if kind == wire.HAVE:
            self._joined(member, payload or bytearray())
            return
        if kind == wire.ALIVE:
            return
        peer = self._peer(connection)
        if peer is None:
            raise wire.WireError("it did not say what it has")
        if kind == wire.DONE:
            self.done.add(member)
            return
        if kind == wire.BYE:
            self.left_well.add(member)
            return
        if kind == wire.NEXT:
            peer.window = min(number, 64)
            self._go_on(member)
            return
        if piece >= self.ledger.count:
            raise wire.WireError("it speaks of piece %d of %d" % (piece, self.ledger.count))
        self._heard_of(connection, peer, kind, piece, number)

    def _heard_of(self, connection: Connection, peer: Peer, kind: int, piece: int, number: int) -> None:
        """A member says something about a piece."""
        if kind == wire.GOT:
            connection.answered(piece)
            self.ledger.peer_got(peer, piece, number)
            self.judge.said_crc(peer.member, piece)
        elif kind == wire.GAVE:
            if self.ledger.wants(piece):
                self.ledger.announced[piece] = number
        elif kind == wire.ASK:
            self.sending.answer(connection, piece)
        elif kind == wire.SUM:
            if peer.member not in self.share.seeders(piece) or piece not in peer.asked:
                # It is no answer of a seeder that was asked for want of anything else.
                self.stalled = False
            self.receiving.ends(connection, peer, piece, number)
        elif kind == wire.CANCEL:
            connection.cancel(piece)
        elif kind in (wire.DENY, wire.LOST):
            if kind == wire.LOST and peer.member not in self.share.seeders(piece):
                # It brings it again; a seeder cannot, and lacks nothing.
                self.done.discard(peer.member)
            self.ledger.peer_lost(peer, piece, number if kind == wire.LOST else None)
            self.judge.said_crc(peer.member, piece)
        elif kind == wire.BAD:
            connection.answered(piece)
            self.sending.refused(peer.member, piece, number)
        elif kind == wire.WHICH:
            self.sending.tell_crc(connection, piece)
        else:
            raise wire.WireError("a frame of the unknown kind %d" % kind)
        if kind in (wire.GOT, wire.DENY, wire.LOST, wire.BAD):
            self._go_on(peer.member)

    def _joined(self, member: int, payload: bytearray) -> None:
        count = self.ledger.count
        if len(payload) != 5 * count:
            raise wire.WireError("its list of pieces has another length")
        crcs = array("I", bytes(payload[count:]))
        self.ledger.joined(member, bytes(payload[:count]), crcs, self.now)
        # It says so again if it is.
        self.done.discard(member)
        # What it has is worth waiting for before a seeder is asked.
        self.last_progress = self.now
        for other in list(self.ledger.peers) if self._heard_all() else [member]:
            self._go_on(other)

    def _go_on(self, member: int) -> None:
        """Gives to a member and asks of it as much as the windows allow."""
        peer, connection = self.ledger.peers.get(member), self.links.members.get(member)
        if peer is None or connection is None:
            return
        if self._heard_all():
            self.sending.give(connection, peer, self.now)
        while True:
            piece = self.ledger.ask(peer, self.now, self.stalled)
            if piece is None:
                return
            connection.say(wire.ASK, piece)

    def _heard_all(self) -> bool:
        return self.now - self.began > HEAR_FIRST_S or len(self.ledger.peers) >= len(self.plan.members) - 1

    def _read_on(self) -> None:
        """Reads more from the origin."""
        if self.origin.failed:
            raise LaneError(self.origin.failed)
        if self._heard_all():
            self.origin.go_on(self._read_from_origin)

    def _read_from_origin(self, piece: int, view: memoryview, crc: int, parts: list[int]) -> None:
        self.last_progress = self.now
        self.stalled = False
        self.receiving.take(ORIGIN, piece, view, crc, parts)
        self._read_on()

    # what is told

    def _lose(self, piece: int) -> None:
        self.receiving.lose(piece)
        self.links.say_all(wire.NEXT, 0, GIVEN_WINDOW)

    def _doubted(self, member: int, piece: int) -> None:
        """A member has proven a piece with other bytes than ours, or believes in them."""

        def answer(why: str) -> None:
            if why and self.ledger.have[piece]:
                self.sending.lose(piece, 0, why)
            elif self.ledger.have[piece] and member in self.links.members:
                self.links.members[member].say(wire.GOT, piece, self.ledger.crcs[piece])

        self.judge.recheck(piece, answer)

    def _proven(self, file: int) -> None:
        self.keeping.forget(file)
        self._tell(proven=self.share.name(file))

    def _warn(self, text: str) -> None:
        self._tell(warning=text)

    def _tell(self, **message: Any) -> None:
        """Says something to the agent; it reads slowly at worst, so this may wait."""
        data = (json.dumps(message) + "\n").encode()
        try:
            self.channel.sendall(data)
        except OSError as error:
            if error.errno in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN):
                raise LaneError("the agent is gone") from None
            raise

    def status(self) -> None:
        """Tells the agent how far we are."""
        self.told = self.now
        self._tell(
            status={
                "bytes": self.share.bytes,
                "bytes_done": self.receiving.done_bytes,
                "bytes_before": self.started_bytes,
                "files": len(self.share.files),
                "files_done": len(self.share.files) - len(self.judge.unproven),
                "received": self.received_bytes,
                "sent": self.sent_bytes,
                "again": self.receiving.again_bytes,
                "refused": self.sending.refused_pieces,
                "peers": {
                    self.share.member(member): {"received": sums[0], "sent": sums[1]}
                    for member, sums in self.links.traffic.items()
                },
                "bad": {self.share.member(member): count for member, count in self.receiving.bad.items()},
                "unreached": self.links.unreached(),
                "waits_for": sorted(self.share.member(m) for m in self._others() - self.done),
                "complete": self.said_done,
                "finished": self.finished,
                "stalled": self.stalled,
                "from_source": self.origin.read_bytes,
                "source_trouble": self.origin.trouble,
            }
        )
