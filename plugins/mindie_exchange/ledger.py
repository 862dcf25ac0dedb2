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
from typing import Callable, Iterable, Sequence

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
        # holders that did not have the piece from the beginning
        self._relays = array("H", bytes(2 * self.count))
        self.pending: dict[int, set[int]] = {}
        # crc32 of pieces that a seeder gave to somebody, in the seeder's own words
        self.announced: dict[int, int] = {}
        # by piece, the seeders that cannot give it any more, each with the reason (an errno or 0)
        self.gone: dict[int, dict[int, int]] = {}
        # what we had from the beginning and cannot read any more: we neither have nor want it
        self.given_up: set[int] = set()
        # the crc32 that a piece must have, because its file was wrong with another one
        self._demanded: dict[int, int] = {}
        # (member, piece): it sent bytes that did not fit
        self._distrusted: set[tuple[int, int]] = set()
        # pieces that are asked of seeders too, because everybody else has moved on
        self._direct: set[int] = set()
        self.to_give: deque[int] = deque(p for p in range(self.count) if have[p] and me in seeders(p))
        # pieces that are on their way from us to the member that we gave them to
        self._on_its_way: dict[int, int] = {}
        # pieces whose turn it is for another seeder
        self._others_share: list[int] = []
        self._on_hold: deque[tuple[float, int]] = deque()
        self._random = random.Random(seed)

    # who is there

    def joined(self, member: int, has: bytes, crcs: Sequence[int], now: float) -> Peer:
        """A member says what it has."""
        self.left(member, now)
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
                self._holds_no_more(member, piece)
                if self._is_ours_to_give(piece):
                    self._on_hold.append((now + GIVE_AGAIN_AFTER_S, piece))
        for piece in peer.given:
            self._on_its_way.pop(piece, None)
        self.to_give.extendleft(sorted(peer.given, reverse=True))
        self.to_give.extendleft(reversed(self._others_share))
        self._others_share.clear()

    def peer_got(self, peer: Peer, piece: int, crc: int) -> None:
        """A member has a piece (now), with this crc32 (0: not known)."""
        peer.crcs[piece] = crc
        self._arrived(peer, piece)
        if peer.has[piece]:
            return
        peer.has[piece] = 1
        self.holders[piece] += 1
        if peer.member in self.seeders(piece):
            self._forget_gone(piece, peer.member)
        else:
            self._relays[piece] += 1
        if self._may_ask(peer, piece):
            peer.offered.append(piece)

    def peer_lost(self, peer: Peer, piece: int, reason: int | None = None) -> None:
        """A member does not have a piece after all; a seeder tells why it will not have it again (an errno or 0)."""
        if peer.has[piece]:
            peer.has[piece] = 0
            self._holds_no_more(peer.member, piece)
        peer.crcs[piece] = 0
        self._arrived(peer, piece)
        if piece in peer.asked:
            del peer.asked[piece]
            self._not_pending(piece, peer.member)
        if reason is not None and peer.member in self.seeders(piece):
            self.gone.setdefault(piece, {})[peer.member] = reason
        if self._is_ours_to_give(piece):
            self.to_give.append(piece)

    def _holds_no_more(self, member: int, piece: int) -> None:
        self.holders[piece] -= 1
        if member not in self.seeders(piece):
            self._relays[piece] -= 1

    def _is_ours_to_give(self, piece: int) -> bool:
        return not self._relays[piece] and bool(self.have[piece]) and self.me in self.seeders(piece)

    def _forget_gone(self, piece: int, member: int) -> None:
        reasons = self.gone.get(piece)
        if reasons is not None:
            reasons.pop(member, None)
            if not reasons:
                del self.gone[piece]

    def hopeless(self) -> list[int]:
        """Returns the pieces that we lack, that nobody here has, and that no seeder can give any more."""
        return [
            piece
            for piece, reasons in self.gone.items()
            if self.wants(piece) and not self.holders[piece] and set(reasons) >= set(self.seeders(piece)) - {self.me}
        ]

    # what we have

    def wants(self, piece: int) -> bool:
        """Whether we lack the piece."""
        return not self.have[piece] and piece not in self.given_up

    def got(self, piece: int, crc: int) -> list[int]:
        """The piece is written here. Returns the members that are still asked for it and need not send it."""
        self.crcs[piece] = crc
        if not self.have[piece]:
            self.have[piece] = 1
            self.lacking -= 1
        others = []
        for member in self.pending.pop(piece, ()):
            peer = self.peers.get(member)
            if peer is not None and peer.asked.pop(piece, None) is not None:
                others.append(member)
        self.announced.pop(piece, None)
        self._direct.discard(piece)
        if self._distrusted:
            self._distrusted -= {(member, piece) for member in self.peers}
        return others

    def lost(self, piece: int) -> None:
        """The piece turned out to be broken here."""
        if self.have[piece]:
            self.have[piece] = 0
            self.lacking += 1
        self.crcs[piece] = 0
        self.announced.pop(piece, None)
        self._given_to_nobody(piece)
        self._direct.add(piece)
        self._offer(piece)

    def demand(self, piece: int, crc: int) -> None:
        """The piece is taken with this crc32 only, from now on."""
        self._demanded[piece] = crc

    def drop_vain_demands(self) -> None:
        """Takes a piece with any crc32 again when nobody has it with the one that was demanded."""
        for piece in list(self._demanded):
            if self.have[piece]:
                continue
            holders = [peer for peer in self.peers.values() if peer.has[piece]]
            if holders and not any(self.fits(piece, peer.crcs[piece] or self._demanded[piece]) for peer in holders):
                del self._demanded[piece]
                self._offer(piece)

    def demanded(self, piece: int) -> int:
        """Returns the crc32 that the piece must have, or 0."""
        return self._demanded.get(piece, 0)

    def fits(self, piece: int, crc: int) -> bool:
        """Whether the piece may be taken with this crc32."""
        return self._demanded.get(piece, crc) == crc

    def give_up(self, piece: int) -> None:
        """What we had from the beginning cannot be read any more."""
        self.have[piece] = 0
        self.crcs[piece] = 0
        self.given_up.add(piece)
        self._given_to_nobody(piece)

    def _given_to_nobody(self, piece: int) -> None:
        member = self._on_its_way.get(piece)
        if member in self.peers:
            self._arrived(self.peers[member], piece)

    def late(self, peer: Peer, piece: int) -> None:
        """A member did not send a piece that it was asked for; it is asked again after everything else it offers."""
        peer.asked.pop(piece, None)
        self._not_pending(piece, peer.member)
        if self._may_ask(peer, piece):
            peer.offered.append(piece)

    def failed(self, peer: Peer, piece: int) -> None:
        """What a member sent of a piece is of no use: another one is asked for it, if there is one."""
        self._distrusted.add((peer.member, piece))
        usable = [one for one in self.peers.values() if self._usable(one, piece)]
        if not usable:
            self._distrusted -= {(member, piece) for member in self.peers}
        if self.wants(piece) and all(one.member in self.seeders(piece) for one in usable):
            self._direct.add(piece)
        peer.asked.pop(piece, None)
        self._not_pending(piece, peer.member)

    def refused(self, peer: Peer, piece: int, again: bool) -> None:
        """What we sent did not fit: a given piece must be given `again`, unless it would not fit again."""
        if piece in peer.given:
            self._arrived(peer, piece)
            if again:
                self.to_give.appendleft(piece)

    def _arrived(self, peer: Peer, piece: int) -> None:
        if piece in peer.given:
            peer.given.discard(piece)
            self._on_its_way.pop(piece, None)

    def expect_from_origin(self, piece: int) -> None:
        """We read the piece from outside ourselves."""
        self.pending.setdefault(piece, set()).add(ORIGIN)

    def not_from_origin(self, piece: int) -> None:
        self._not_pending(piece, ORIGIN)

    def _not_pending(self, piece: int, member: int) -> None:
        members = self.pending.get(piece)
        if members is not None:
            members.discard(member)
            if not members:
                del self.pending[piece]
                self._offer(piece)

    def _offer(self, piece: int) -> None:
        for peer in self.peers.values():
            if self._may_ask(peer, piece):
                peer.offered.appendleft(piece)

    def _may_ask(self, peer: Peer, piece: int) -> bool:
        """Whether the piece is asked of this member without need."""
        if not self.wants(piece) or not self._usable(peer, piece):
            return False
        return piece in self._direct or peer.member not in self.seeders(piece)

    def _usable(self, peer: Peer, piece: int) -> bool:
        """Whether what the member has of the piece may be of use."""
        if not peer.has[piece] or (peer.member, piece) in self._distrusted:
            return False
        return not peer.crcs[piece] or self.fits(piece, peer.crcs[piece])

    # choices

    def give(self, peer: Peer, now: float) -> int | None:
        """Returns a piece to give to a member, or None. Each piece is given to one member only."""
        if len(peer.given) >= peer.window:
            return None
        while self._on_hold and self._on_hold[0][0] <= now:
            piece = self._on_hold.popleft()[1]
            if not self._relays[piece]:
                self.to_give.append(piece)
        chosen = None
        passed: list[int] = []
        while self.to_give and chosen is None:
            piece = self.to_give.popleft()
            # Who relays it is asked by the others.
            if not self.have[piece] or piece in self._on_its_way or self._relays[piece]:
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

    def _giver(self, piece: int) -> int:
        """Returns the seeder whose turn it is: by turns among those that are there."""
        seeders = [m for m in self.seeders(piece) if m == self.me or (m in self.peers and self.peers[m].has[piece])]
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
            if piece in candidates or piece in self.pending:
                continue
            if self.wants(piece) and self._usable(peer, piece):
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
        for piece in _set_flags(flags, start):
            if piece not in self.pending and self.wants(piece) and self._usable(peer, piece):
                return piece
        return None

    def _second_copy(self, peer: Peer, now: float) -> int | None:
        for piece, members in self.pending.items():
            if len(members) > 1 or members & {peer.member, ORIGIN} or not self._usable(peer, piece):
                continue
            since = max((self.peers[m].asked.get(piece, now) for m in members if m in self.peers), default=now)
            if now - since > SECOND_COPY_AFTER_S and peer.member not in self.seeders(piece):
                return piece
        return None


def _set_flags(flags: bytes, start: int) -> Iterable[int]:
    """Yields where a flag is set, from `start` on and then from the beginning."""
    for begin, end in ((start, len(flags)), (0, start)):
        at = flags.find(b"\1", begin, end)
        while at >= 0:
            yield at
            at = flags.find(b"\1", at + 1, end)
