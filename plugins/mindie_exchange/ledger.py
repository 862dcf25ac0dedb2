# SPDX-License-Identifier: Apache-2.0
"""Who has what, who is asked for what, who is given what: the choices of one member in one lane. No input or output.

Measured rules (each cost a bad run when it was missing): a seeder gives each piece to one member only; the others take
it from that one. Members choose at random among the first few pieces on offer, so that not everybody asks the same
holder for the same piece. "Nobody has it" is not "it is lost": a seeder is asked for a certain piece only when nothing
has come for a while.
"""

from __future__ import annotations

import random
from array import array
from collections import deque
from typing import Callable, Sequence

# Pieces that one member may give us at the same time, and pieces that we ask one member for at the same time.
GIVEN_WINDOW = 4
ASKED_WINDOW = 2
# Pieces on their way to us in all; more would only fill memory.
MOST_PENDING = 32
CHOICE = 8
# Stands for the origin among the members that a piece comes from.
ORIGIN = -1
# A piece that is on its way from one member for so long is asked of another one too, when nothing else is left.
SECOND_COPY_AFTER_S = 2.0
# A member that left may come back with what it has; after this its pieces are given to somebody else.
GIVE_AGAIN_AFTER_S = 2.0


class Peer:
    """Another member, as far as we know it. `window`: how many pieces it takes from us at once without asking."""

    def __init__(self, member: int, count: int) -> None:
        self.member = member
        self.has = bytearray(count)
        self.crcs = array("I", bytes(4 * count))
        self.offered: deque[int] = deque()
        self.asked: dict[int, float] = {}
        self.given: set[int] = set()
        self.window = 0
        self.done = False


class Ledger:
    """The state of one lane. `seeders(piece)` are the members that had the piece when the plan was made."""

    def __init__(
        self,
        me: int,
        have: bytearray,
        crcs: array[int],
        seeders: Callable[[int], Sequence[int]],
        seed: int | None = None,
    ) -> None:
        self.me = me
        self.have = have
        self.crcs = crcs
        self.count = len(have)
        self.lacking = self.count - sum(have)
        self.seeders = seeders
        self.peers: dict[int, Peer] = {}
        self.holders = array("H", bytes(2 * self.count))
        self.pending: dict[int, set[int]] = {}
        # crc32 of pieces that a seeder gave to somebody, in the seeder's own words
        self.announced: dict[int, int] = {}
        self.to_give: deque[int] = deque(p for p in range(self.count) if have[p] and me in seeders(p))
        # pieces that are on their way from us to the member that we gave them to
        self._on_its_way: dict[int, int] = {}
        # pieces whose turn it is for another seeder
        self._others_share: list[int] = []
        self._on_hold: list[tuple[float, int]] = []
        self._random = random.Random(seed)

    # who is there

    def joined(self, member: int, has: bytes, crcs: Sequence[int]) -> Peer:
        """A member says what it has."""
        peer = self.peers[member] = Peer(member, self.count)
        for piece, flag in enumerate(has):
            if flag:
                self.peer_got(peer, piece, crcs[piece])
        return peer

    def left(self, member: int, now: float) -> None:
        """A connection ended: what was on its way is on nobody's way any more."""
        peer = self.peers.pop(member, None)
        if peer is None:
            return
        for piece in peer.asked:
            self._not_pending(piece, member)
        for piece in range(self.count):
            if peer.has[piece]:
                self.holders[piece] -= 1
                if not self.holders[piece] and self.have[piece] and self.me in self.seeders(piece):
                    self._on_hold.append((now + GIVE_AGAIN_AFTER_S, piece))
        for piece in peer.given:
            self._on_its_way.pop(piece, None)
        self.to_give.extendleft(sorted(peer.given, reverse=True))
        self.to_give.extendleft(reversed(self._others_share))
        self._others_share.clear()

    def peer_got(self, peer: Peer, piece: int, crc: int) -> None:
        """A member has a piece (now)."""
        peer.crcs[piece] = crc
        self._arrived(peer, piece)
        if peer.has[piece]:
            return
        peer.has[piece] = 1
        self.holders[piece] += 1
        if not self.have[piece] and peer.member not in self.seeders(piece):
            peer.offered.append(piece)

    def peer_lost(self, peer: Peer, piece: int) -> None:
        """A member does not have a piece after all."""
        if peer.has[piece]:
            peer.has[piece] = 0
            self.holders[piece] -= 1
        if piece in peer.asked:
            del peer.asked[piece]
            self._not_pending(piece, peer.member)
        if not self.holders[piece] and self.have[piece] and self.me in self.seeders(piece):
            self.to_give.append(piece)

    # what we have

    def got(self, piece: int, crc: int) -> None:
        """The piece is written here."""
        self.crcs[piece] = crc
        if not self.have[piece]:
            self.have[piece] = 1
            self.lacking -= 1
        for member in self.pending.pop(piece, ()):
            peer = self.peers.get(member)
            if peer is not None:
                peer.asked.pop(piece, None)
        self.announced.pop(piece, None)

    def lost(self, piece: int) -> None:
        """The piece turned out to be broken here."""
        if self.have[piece]:
            self.have[piece] = 0
            self.lacking += 1
        self.crcs[piece] = 0
        for peer in self.peers.values():
            if peer.has[piece]:
                peer.offered.appendleft(piece)

    def failed(self, peer: Peer, piece: int) -> None:
        """What a member sent of a piece is of no use; it is free to be asked for again."""
        peer.asked.pop(piece, None)
        self._not_pending(piece, peer.member)
        # It is asked of this member again only after everything else it offers.
        if peer.has[piece] and not self.have[piece]:
            peer.offered.append(piece)

    def refused(self, peer: Peer, piece: int) -> None:
        """What we sent did not fit: a given piece must be given again."""
        if piece in peer.given:
            self._arrived(peer, piece)
            self.to_give.appendleft(piece)

    def _arrived(self, peer: Peer, piece: int) -> None:
        if piece in peer.given:
            peer.given.discard(piece)
            self._on_its_way.pop(piece, None)

    def _not_pending(self, piece: int, member: int) -> None:
        members = self.pending.get(piece)
        if members is not None:
            members.discard(member)
            if not members:
                del self.pending[piece]
                for peer in self.peers.values():
                    if peer.has[piece] and not self.have[piece] and peer.member not in self.seeders(piece):
                        peer.offered.appendleft(piece)

    def expect_from_origin(self, piece: int) -> None:
        """We read the piece from outside ourselves."""
        self.pending.setdefault(piece, set()).add(ORIGIN)

    def not_from_origin(self, piece: int) -> None:
        self._not_pending(piece, ORIGIN)

    # choices

    def give(self, peer: Peer, now: float) -> int | None:
        """Returns a piece to give to a member, or None. Each piece is given to one member only."""
        if len(peer.given) >= peer.window:
            return None
        while self._on_hold and self._on_hold[0][0] <= now:
            piece = self._on_hold.pop(0)[1]
            if not self.holders[piece]:
                self.to_give.append(piece)
        chosen = None
        passed: list[int] = []
        while self.to_give and chosen is None:
            piece = self.to_give.popleft()
            if not self.have[piece] or piece in self._on_its_way or self._somebody_relays(piece):
                continue
            if self._giver(piece) != self.me:
                self._others_share.append(piece)
            elif peer.has[piece]:
                passed.append(piece)
            else:
                chosen = piece
        self.to_give.extendleft(reversed(passed))
        if chosen is not None:
            peer.given.add(chosen)
            self._on_its_way[chosen] = peer.member
        return chosen

    def _somebody_relays(self, piece: int) -> bool:
        """Whether a member has the piece that did not have it from the beginning: the others ask there."""
        if not self.holders[piece]:
            return False
        seeders = self.seeders(piece)
        return any(peer.has[piece] and peer.member not in seeders for peer in self.peers.values())

    def _giver(self, piece: int) -> int:
        """Returns the seeder whose turn it is: by turns among those that are there."""
        seeders = [m for m in self.seeders(piece) if m == self.me or m in self.peers]
        return seeders[piece % len(seeders)] if seeders else self.me

    def ask(self, peer: Peer, now: float, stalled: bool) -> int | None:
        """Returns a piece to ask a member for, or None.

        `stalled`: nothing has come for a while, so a seeder too is asked for what it gives to others.
        """
        window = GIVEN_WINDOW if stalled else ASKED_WINDOW
        if not self.lacking or len(peer.asked) >= window or len(self.pending) >= MOST_PENDING:
            return None
        piece = self._choose(peer)
        if piece is None and stalled:
            piece = self._anything(peer)
        if piece is None and not peer.asked:
            piece = self._second_copy(peer, now)
        if piece is not None:
            peer.asked[piece] = now
            self.pending.setdefault(piece, set()).add(peer.member)
        return piece

    def _choose(self, peer: Peer) -> int | None:
        candidates: list[int] = []
        while peer.offered and len(candidates) < CHOICE:
            piece = peer.offered.popleft()
            if self.have[piece] or not peer.has[piece] or piece in self.pending or piece in candidates:
                continue
            candidates.append(piece)
        if not candidates:
            return None
        chosen = self._random.choice(candidates)
        peer.offered.extendleft(piece for piece in reversed(candidates) if piece != chosen)
        return chosen

    def _anything(self, peer: Peer) -> int | None:
        """Returns any piece that the member has and we lack."""
        useful = int.from_bytes(peer.has, "little") & ~int.from_bytes(self.have, "little")
        if not useful:
            return None
        flags = useful.to_bytes(self.count, "little")
        start = self._random.randrange(self.count)
        for begin, end in ((start, self.count), (0, start)):
            piece = flags.find(b"\1", begin, end)
            while piece >= 0:
                if piece not in self.pending:
                    return piece
                piece = flags.find(b"\1", piece + 1, end)
        return None

    def _second_copy(self, peer: Peer, now: float) -> int | None:
        for piece, members in self.pending.items():
            if len(members) > 1 or members & {peer.member, ORIGIN} or not peer.has[piece]:
                continue
            since = max(self.peers[m].asked.get(piece, now) for m in members if m in self.peers) if members else now
            if now - since > SECOND_COPY_AFTER_S and peer.member not in self.seeders(piece):
                return piece
        return None
