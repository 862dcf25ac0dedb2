"""One connection, its two ends in one process: the greeting, frames both ways, and what ends it."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mindie_exchange import wire
from mindie_exchange.connection import (
    MOST_UNANSWERED,
    SMALLEST_FRAME,
    ClosedError,
    Connection,
    Handler,
    Identity,
    Outgoing,
    Part,
)
from mindie_exchange.rate import Limit

SECRET, PLAN = b"s" * 32, b"p" * 32
NOW = 1.0


class End(Handler):
    """Keeps what a connection tells."""

    def __init__(self) -> None:
        self.was_opened = False
        self.frames: list[tuple[int, int, int, bytes]] = []
        self.memory = bytearray(1 << 20)
        self.most_out = self.most_in = 1 << 30
        self.received = self.sent = 0

    def opened(self, connection: Connection) -> None:
        self.was_opened = True

    def heard(self, connection: Connection, kind: int, piece: int, number: int, payload: bytearray | None) -> None:
        self.frames.append((kind, piece, number, bytes(payload or b"")))

    def buffer_for(self, connection: Connection, piece: int, offset: int, length: int) -> memoryview:
        return memoryview(self.memory)[offset : offset + length]

    def may_send(self, most: int) -> int:
        return min(most, self.most_out)

    def may_receive(self, most: int) -> int:
        return min(most, self.most_in)

    def unsent(self, piece: int) -> None:
        raise AssertionError

    def moved(self, connection: Connection, received: int, sent: int) -> None:
        self.received += received
        self.sent += sent


class Pair:
    """A caller (member 0) and a called one (member 1)."""

    def __init__(self, secret: bytes = SECRET, plan: bytes = PLAN, me: int = 0, lane: int = 3) -> None:
        first, second = socket.socketpair()
        first.setblocking(False)
        second.setblocking(False)
        self.ends = End(), End()
        self.caller = Connection(first, Identity(secret, plan, lane, me, 2, 50), self.ends[0], 1, NOW)
        self.called = Connection(second, Identity(SECRET, PLAN, 3, 1, 2, 50), self.ends[1], None, NOW)

    def turn(self, turns: int = 20) -> None:
        for _ in range(turns):
            for one in (self.caller, self.called):
                if one.wants_write:
                    one.writable(NOW)
                one.readable(NOW)


@pytest.fixture
def pair() -> Iterator[Pair]:
    one = Pair()
    one.turn()
    yield one
    one.caller.close()
    one.called.close()


def give(connection: Connection, piece: int, content: bytes) -> list[str]:
    """Sends a piece from memory; returns a list that tells when it is released."""
    released: list[str] = []
    connection.send_piece(
        Outgoing(piece, 77, [Part(-1, memoryview(content), 0, len(content))], lambda: released.append("released"))
    )
    return released


def test_both_sides_know_one_another(pair: Pair) -> None:
    assert pair.caller.open
    assert pair.called.open
    assert (pair.caller.member, pair.called.member) == (1, 0)
    assert pair.ends[0].was_opened
    assert pair.ends[1].was_opened


@pytest.mark.parametrize(
    ("words", "other"),
    [
        ("does not know the secret", {"secret": b"x" * 32}),
        ("another plan", {"plan": b"x" * 32}),
        ("it says that it is member 1", {"me": 1}),
        ("it says that it is member 7", {"me": 7}),
        ("does not know the secret", {"lane": 4}),
    ],
)
def test_who_is_not_of_this_run_is_refused(words: str, other: dict[str, object]) -> None:
    one = Pair(**other)  # type: ignore[arg-type]
    with pytest.raises((wire.WireError, ClosedError), match=words):
        one.turn()
    assert not one.caller.open
    assert not one.ends[1].was_opened


def test_the_called_one_is_not_open_before_the_proof_of_the_caller() -> None:
    one = Pair()
    one.caller.writable(NOW)
    one.called.readable(NOW)
    one.called.writable(NOW)
    assert not one.called.open
    one.caller.sock.send(os.urandom(32))
    with pytest.raises(wire.WireError, match="does not know the secret"):
        one.called.readable(NOW)


def test_an_answer_of_another_conversation_is_no_proof() -> None:
    first, second = Pair(), Pair()
    for one in (first, second):
        one.caller.writable(NOW)
        one.called.readable(NOW)
        one.called.writable(NOW)
    answer = first.caller.sock.recv(1000)
    second.caller.sock.recv(1000)
    second.called.sock.send(answer)
    with pytest.raises(wire.WireError, match="does not know the secret"):
        second.caller.readable(NOW)


def test_what_a_stranger_sends_byte_by_byte() -> None:
    one = Pair()
    hello = wire.HELLO.pack(0, wire.nonce(), PLAN)
    for byte in hello[:-1]:
        one.caller.sock.send(bytes([byte]))
        one.called.readable(NOW)
        assert not one.called.wants_write, "nothing is said to half a greeting"
    assert not one.called.open


def test_frames_arrive_in_order_and_whole(pair: Pair) -> None:
    pair.caller.say(wire.GOT, 5, 0xFFFFFFFF)
    pair.caller.say(wire.HAVE, 0, 0, b"x" * 50)
    pair.called.say(wire.ALIVE)
    pair.turn()
    assert pair.ends[1].frames == [(wire.GOT, 5, 0xFFFFFFFF, b""), (wire.HAVE, 0, 0, b"x" * 50)]
    assert pair.ends[0].frames == [(wire.ALIVE, 0, 0, b"")]


@pytest.mark.parametrize(
    "said",
    [
        wire.frame(wire.HAVE, 0, 0, 51),
        wire.frame(wire.GOT, 0, 0, 1),
        wire.frame(wire.DATA, 0, 0, 0),
        wire.frame(wire.DATA, 0, 0, wire.LARGEST_DATA + 1),
        wire.frame(255, 0, 0, 0xFFFFFFFF),
    ],
)
def test_frames_that_are_too_long(pair: Pair, said: bytes) -> None:
    pair.caller.sock.send(said)
    with pytest.raises(wire.WireError, match=r"a (DATA )?frame of "):
        pair.called.readable(NOW)


def test_a_piece_from_memory_and_one_from_a_file(pair: Pair, tmp_path: Path) -> None:
    content = random.Random(1).randbytes(700_000)
    (tmp_path / "file").write_bytes(b"before" + content)
    released: list[int] = []
    number = os.open(tmp_path / "file", os.O_RDONLY)
    for parts in ([Part(-1, memoryview(content), 0, len(content))], [Part(number, None, 6, len(content))]):
        pair.ends[1].memory[:] = bytes(1 << 20)
        pair.ends[1].frames.clear()
        pair.caller.send_piece(Outgoing(1, 77, parts, lambda: released.append(1)))
        pair.turn(100)
        assert pair.ends[1].memory[: len(content)] == content
        assert pair.ends[1].frames == [(wire.SUM, 1, 77, b"")]
        pair.caller.answered(1)
    assert released == [1, 1]
    assert pair.ends[0].sent == pair.ends[1].received == 2 * len(content)
    os.close(number)


def test_a_file_that_is_shorter_than_the_piece_ends_the_connection(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"short")
    number = os.open(tmp_path / "file", os.O_RDONLY)
    pair.caller.send_piece(Outgoing(1, 77, [Part(number, None, 0, 6)], lambda: None))
    with pytest.raises(ClosedError, match="a file became shorter while it was sent") as caught:
        pair.turn()
    assert caught.value.piece == 1
    os.close(number)


def test_only_so_many_pieces_are_on_the_way_without_an_answer(pair: Pair) -> None:
    released = [give(pair.caller, piece, b"x" * 1000) for piece in range(5)]
    pair.turn()
    assert len(pair.ends[1].frames) == MOST_UNANSWERED
    assert not pair.caller.wants_write
    pair.caller.answered(1)
    pair.turn()
    assert [frame[1] for frame in pair.ends[1].frames] == [0, 1, 2]
    pair.caller.close()
    assert released == [["released"]] * 5


def test_a_piece_is_cancelled_unless_it_has_begun(pair: Pair) -> None:
    pair.ends[0].most_out = SMALLEST_FRAME
    first, second = give(pair.caller, 1, b"x" * 900_000), give(pair.caller, 2, b"y")
    pair.caller.writable(NOW)
    pair.caller.cancel(1)
    pair.caller.cancel(2)
    assert (first, second) == ([], ["released"])
    pair.turn(200)
    assert pair.ends[1].frames == [(wire.SUM, 1, 77, b"")]


def test_news_go_before_pieces_but_not_into_a_frame(pair: Pair) -> None:
    give(pair.caller, 1, b"x" * 10)
    pair.caller.say(wire.GOT, 9, 0)
    pair.turn()
    assert [frame[0] for frame in pair.ends[1].frames] == [wire.GOT, wire.SUM]


def test_what_a_limit_forbids_is_neither_sent_nor_received(pair: Pair) -> None:
    pair.ends[0].most_out = 0
    give(pair.caller, 1, b"x" * 10)
    pair.caller.say(wire.ALIVE)
    pair.turn()
    assert pair.ends[1].frames == [(wire.ALIVE, 0, 0, b"")]
    assert not pair.caller.wants_write
    pair.ends[0].most_out, pair.ends[1].most_in = 100, 0
    assert pair.caller.wants_write
    assert not pair.called.wants_read
    pair.turn()
    assert len(pair.ends[1].frames) == 1
    pair.ends[1].most_in = 100
    pair.turn()
    assert pair.ends[1].frames[1:] == [(wire.SUM, 1, 77, b"")]


def test_an_end_that_says_goodbye_is_heard_although_something_was_unread(pair: Pair) -> None:
    pair.called.say(wire.ALIVE)
    pair.called.writable(NOW)
    pair.caller.say(wire.DONE)
    pair.caller.say(wire.BYE)
    assert not pair.caller.farewell(NOW)
    with pytest.raises(ClosedError, match="ended the connection"):
        pair.called.readable(NOW)
    assert [frame[0] for frame in pair.ends[1].frames] == [wire.DONE, wire.BYE]
    pair.called.close()
    assert pair.caller.farewell(NOW)


# limits


def test_a_limit_holds_on_average() -> None:
    limit = Limit(1000, now=0.0)
    moved, now = 0, 0.0
    while now < 10:
        while limit.left(100) > 0:
            limit.used(100)
            moved += 100
        now += 0.01
        limit.refill(now)
    assert 9_900 <= moved <= 10_400


def test_what_was_used_beforehand_is_made_up_for() -> None:
    limit = Limit(1000, now=0.0)
    limit.used(3250)
    assert limit.left(1) <= 0
    assert limit.pause() == pytest.approx(3.0)
    limit.refill(2.9)
    assert limit.left(1) <= 0
    limit.refill(3.1)
    assert limit.left(1) == 1


def test_no_limit() -> None:
    limit = Limit(0, now=0.0)
    limit.used(1 << 60)
    limit.refill(1.0)
    assert limit.left(7) == 7
    assert limit.pause() == 0
