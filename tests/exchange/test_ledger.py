"""Who gives what to whom: whole exchanges are played without any input or output, at a clock of their own."""

from __future__ import annotations

import random
from array import array
from collections import Counter
from collections.abc import Sequence

import pytest

from mindie_exchange.ledger import GIVE_AGAIN_AFTER_S, GIVEN_WINDOW, ORIGIN, SECOND_COPY_AFTER_S, Ledger


def ledger(me: int, have: Sequence[int], seeders: Sequence[int] = (0,), seed: int = 1) -> Ledger:
    return Ledger(me, bytearray(have), array("I", [0] * len(have)), lambda _piece: tuple(seeders), seed)


class Game:
    """Members whose messages take one step each; a member sends one piece a step."""

    def __init__(self, members: int, pieces: int, seeders: Sequence[int] = (0,), seed: int = 1) -> None:
        self.pieces, self.seeders = pieces, tuple(seeders)
        self.chance = random.Random(seed)
        self.ledgers: dict[int, Ledger] = {}
        self.queues: dict[int, list[tuple[int, int]]] = {}
        self.sent: Counter[tuple[int, int, int]] = Counter()
        self.now, self.last = 0.0, 0.0
        for member in range(members):
            self.join(member, bytearray([member in self.seeders] * pieces))

    def join(self, member: int, have: bytearray) -> None:
        one = ledger(member, have, self.seeders, self.chance.randrange(1 << 30))
        self.queues[member] = []
        for other, theirs in self.ledgers.items():
            one.joined(other, theirs.have, array("I", [0] * self.pieces), self.now).window = GIVEN_WINDOW
            theirs.joined(member, have, array("I", [0] * self.pieces), self.now).window = GIVEN_WINDOW
        self.ledgers[member] = one

    def leave(self, member: int) -> bytearray:
        """Returns what it had."""
        have = self.ledgers.pop(member).have
        del self.queues[member]
        for other in self.ledgers.values():
            other.left(member, self.now)
        for queue in self.queues.values():
            queue[:] = [one for one in queue if one[0] != member]
        return have

    def step(self) -> None:
        self.now += 0.1
        stalled = self.now - self.last > 2.0
        order = [(a, b) for a in self.ledgers for b in self.ledgers if a != b]
        self.chance.shuffle(order)
        for me, other in order:
            mine = self.ledgers[me]
            while True:
                piece = mine.give(mine.peers[other], self.now)
                if piece is None:
                    break
                self.queues[me].append((other, piece))
            while True:
                piece = mine.ask(mine.peers[other], self.now, stalled and not mine.pending)
                if piece is None:
                    break
                self.queues[other].append((me, piece))
        for giver, queue in self.queues.items():
            if queue:
                self.deliver(giver, *queue.pop(0))

    def deliver(self, giver: int, to: int, piece: int) -> None:
        self.sent[(giver, to, piece)] += 1
        self.last = self.now
        receiver = self.ledgers[to]
        if receiver.have[piece]:
            receiver.late(receiver.peers[giver], piece)
            self.ledgers[giver].peer_got(self.ledgers[giver].peers[to], piece, 0)
            return
        receiver.got(piece, 0)
        for member, one in self.ledgers.items():
            if member != to:
                one.peer_got(one.peers[to], piece, 0)

    def is_over(self) -> bool:
        return not any(one.lacking for one in self.ledgers.values())

    def play(self, steps: int = 3000) -> None:
        for _ in range(steps):
            if self.is_over():
                return
            self.step()
        raise AssertionError({member: one.lacking for member, one in self.ledgers.items()})

    def sent_by(self, *members: int) -> int:
        return sum(count for (giver, _to, _piece), count in self.sent.items() if giver in members)


@pytest.mark.parametrize("members", [2, 3, 5, 9])
@pytest.mark.parametrize("seed", range(3))
def test_every_piece_leaves_the_source_once(members: int, seed: int) -> None:
    game = Game(members, 60, seed=seed)
    game.play()
    assert game.sent_by(0) == 60
    assert max(game.sent.values()) == 1
    assert sum(game.sent.values()) == 60 * (members - 1)


def test_receivers_carry_about_the_same() -> None:
    game = Game(8, 400)
    game.play()
    carried = [game.sent_by(member) for member in range(1, 8)]
    assert max(carried) < 1.3 * sum(carried) / 7, carried


@pytest.mark.parametrize("seed", range(5))
def test_two_sources_give_each_piece_once_together(seed: int) -> None:
    game = Game(5, 80, seeders=(0, 1), seed=seed)
    game.play()
    assert game.sent_by(0, 1) == 80
    assert 20 < game.sent_by(0) < 60


@pytest.mark.parametrize("seed", range(5))
def test_a_source_leaves_and_the_other_one_goes_on(seed: int) -> None:
    game = Game(5, 80, seeders=(0, 1), seed=seed)
    for _ in range(15):
        game.step()
    game.leave(0)
    game.play()
    # What was on its way from the one that left is given again.
    assert game.sent_by(0, 1) <= 80 + 4 * GIVEN_WINDOW


@pytest.mark.parametrize("seed", range(5))
def test_a_source_comes_back_and_begins_with_what_nobody_has(seed: int) -> None:
    game = Game(4, 80, seed=seed)
    for _ in range(30):
        game.step()
    have = game.leave(0)
    for _ in range(30):
        game.step()
    game.join(0, have)
    game.play()
    assert game.sent_by(0) <= 80 + 3 * GIVEN_WINDOW


@pytest.mark.parametrize("seed", range(5))
def test_somebody_joins_late(seed: int) -> None:
    game = Game(4, 60, seed=seed)
    game.play()
    game.join(4, bytearray(60))
    game.play()
    assert game.sent_by(0) == 60, "the others have it all"


@pytest.mark.parametrize("seed", range(5))
def test_a_receiver_leaves_with_pieces_that_only_it_has(seed: int) -> None:
    game = Game(4, 60, seed=seed)
    for _ in range(20):
        game.step()
    alone = sum(
        1
        for piece in range(60)
        if game.ledgers[1].have[piece] and not any(game.ledgers[other].have[piece] for other in (2, 3))
    )
    game.leave(1)
    game.play()
    assert game.sent_by(0) <= 60 + alone + GIVEN_WINDOW


def test_what_somebody_had_who_left_is_given_again_only_after_a_while() -> None:
    one = ledger(0, [1, 1])
    peer = one.joined(1, b"\0\0", [0, 0], 0.0)
    other = one.joined(2, b"\0\0", [0, 0], 0.0)
    peer.window = other.window = 4
    assert one.give(peer, 0.0) == 0
    one.peer_got(peer, 0, 5)
    one.left(1, 10.0)
    assert one.give(other, 10.0) == 1
    assert one.give(other, 10.1) is None
    assert one.give(other, 10.0 + GIVE_AGAIN_AFTER_S) == 0


def test_parts_that_are_spread_are_put_together_without_a_source() -> None:
    game = Game(1, 60, seeders=())
    for member in range(1, 4):
        game.join(member, bytearray([piece % 3 == member % 3 for piece in range(60)]))
    game.play()
    assert max(game.sent.values()) == 1


# one member's choices


def test_a_source_is_asked_only_when_nothing_else_comes() -> None:
    one = ledger(1, [0, 0])
    source = one.joined(0, b"\1\1", [0, 0], 0.0)
    assert one.ask(source, 1.0, stalled=False) is None
    assert one.ask(source, 1.0, stalled=True) in (0, 1)


def test_a_piece_that_came_damaged_is_asked_of_another_one() -> None:
    one = ledger(1, [0])
    first, second = (one.joined(member, b"\1", [0], 0.0) for member in (2, 3))
    assert one.ask(first, 0.0, stalled=False) == 0
    one.failed(first, 0)
    assert one.ask(first, 0.0, stalled=False) is None
    assert one.ask(second, 0.0, stalled=False) == 0
    one.failed(second, 0)
    # Nobody is better than the others now.
    assert one.ask(first, 0.0, stalled=False) == 0


def test_a_damaged_piece_comes_from_the_source_when_its_only_other_holder_is_bad() -> None:
    one = ledger(1, [0])
    source, other = one.joined(0, b"\1", [0], 0.0), one.joined(2, b"\1", [0], 0.0)
    assert one.ask(other, 0.0, stalled=False) == 0
    one.failed(other, 0)
    assert one.ask(source, 0.0, stalled=False) == 0


def test_a_piece_that_is_wanted_with_another_crc_is_asked_only_of_who_has_that() -> None:
    one = ledger(1, [1])
    one.crcs[0] = 5
    source, wrong = one.joined(0, b"\1", [9], 0.0), one.joined(2, b"\1", [5], 0.0)
    one.demand(0, 9)
    one.lost(0)
    assert one.lacking == 1
    assert not one.fits(0, 5)
    assert one.ask(wrong, 0.0, stalled=True) is None
    assert one.ask(source, 0.0, stalled=False) == 0
    one.got(0, 9)
    assert not one.lacking


def test_a_demand_that_nobody_can_meet_any_more_is_dropped() -> None:
    one = ledger(1, [0])
    bad, other = one.joined(0, b"\1", [9], 0.0), one.joined(2, b"\1", [5], 0.0)
    one.demand(0, 9)
    one.lost(0)
    one.drop_vain_demands()
    assert one.ask(other, 0.0, stalled=True) is None
    one.peer_lost(bad, 0, 0)
    one.drop_vain_demands()
    assert one.ask(other, 0.0, stalled=False) == 0


def test_a_second_copy_is_asked_for_at_the_end_and_the_first_to_come_counts() -> None:
    one = ledger(1, [0])
    first, second = (one.joined(member, b"\1", [0], 0.0) for member in (2, 3))
    assert one.ask(first, 0.0, stalled=False) == 0
    assert one.ask(second, SECOND_COPY_AFTER_S, stalled=False) is None
    assert one.ask(second, SECOND_COPY_AFTER_S + 0.1, stalled=False) == 0
    assert sorted(one.got(0, 7)) == [2, 3]
    assert not one.pending
    assert not first.asked
    assert not second.asked


def test_what_is_read_from_the_origin_is_asked_of_nobody() -> None:
    one = ledger(1, [0], seeders=())
    one.expect_from_origin(0)
    peer = one.joined(2, b"\1", [0], 0.0)
    assert one.ask(peer, 100.0, stalled=True) is None
    one.not_from_origin(0)
    assert one.ask(peer, 100.0, stalled=False) == 0
    assert one.pending == {0: {2}}
    assert ORIGIN not in one.peers


def test_a_member_that_says_again_what_it_has() -> None:
    one = ledger(1, [0, 0, 0])
    for has in (b"\1\1\1", b"\0\0\1", b"\1\0\0"):
        one.joined(2, has, [0, 0, 0], 0.0)
        assert list(one.holders) == list(has)
    one.left(2, 0.0)
    assert list(one.holders) == [0, 0, 0]


def test_a_given_piece_that_did_not_fit_is_given_again() -> None:
    one = ledger(0, [1])
    peer = one.joined(1, b"\0", [0], 0.0)
    peer.window = 4
    assert one.give(peer, 0.0) == 0
    assert one.give(peer, 0.0) is None
    one.refused(peer, 0, again=True)
    assert one.give(peer, 0.0) == 0
    one.refused(peer, 0, again=False)
    assert one.give(peer, 0.0) is None


def test_what_cannot_be_read_any_more_is_neither_had_nor_wanted() -> None:
    one = ledger(0, [1, 1], seeders=(0, 1))
    peer = one.joined(1, b"\1\1", [0, 0], 0.0)
    other = one.joined(2, b"\0\0", [0, 0], 0.0)
    other.window = 4
    given = one.give(other, 0.0)
    assert given is not None
    one.give_up(given)
    assert not one.lacking
    assert not other.given
    assert one.give(other, 0.0) is None
    assert one.ask(peer, 0.0, stalled=True) is None


def test_a_piece_is_hopeless_when_all_its_sources_say_so() -> None:
    one = ledger(2, [0, 0], seeders=(0, 1))
    first, second = one.joined(0, b"\1\1", [0, 0], 0.0), one.joined(1, b"\1\1", [0, 0], 0.0)
    one.peer_lost(first, 0, 5)
    assert one.hopeless() == []
    one.peer_lost(second, 0, 0)
    assert one.hopeless() == [0]
    assert one.gone[0] == {0: 5, 1: 0}
    other = one.joined(3, b"\1\0", [0, 0], 0.0)
    assert one.hopeless() == [], "somebody has it after all"
    one.left(other.member, 0.0)
    one.joined(0, b"\1\1", [0, 0], 0.0)
    assert one.hopeless() == [], "it was mended"
