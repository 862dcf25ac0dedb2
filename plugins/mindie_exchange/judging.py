# SPDX-License-Identifier: Apache-2.0
"""Which files are right. What turns out wrong is brought again, from another member than before where there is one."""

from __future__ import annotations

import collections
import functools
import hashlib
from typing import Any, Callable

from mindie_exchange import wire
from mindie_exchange.ledger import ORIGIN, Ledger
from mindie_exchange.links import Links
from mindie_exchange.proof import Prover, sha256_of
from mindie_exchange.share import LaneError, Share
from mindie_exchange.store import Store, StoreError
from mindie_exchange.threads import Buffers, Threads

# So often a file may be wrong, and so often a piece of it may break on the disk, before the run ends.
MOST_WRONG = 3
# So long the other members may take to read what they have of a wrong file.
DOUBT_S = 120.0
# So long a wrong file waits for members that had it before and are not here.
ABSENT_S = 60.0


class _Doubt:
    """A wrong file: since when, who was asked, and who is to say the crc32 of which piece."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.asked: set[int] = set()
        self.waiting: set[tuple[int, int]] = set()


class Judge:
    """`unproven`: the files that are not known to be right. `lose(piece)` is called for what must be brought again,
    `proven(name)` for each file that is right, `warn(text)` for the operator. All methods raise LaneError when there is
    no hope."""

    def __init__(
        self,
        share: Share,
        store: Store,
        ledger: Ledger,
        links: Links,
        threads: Threads,
        buffers: Buffers,
        unproven: set[int],
        lose: Callable[[int], None],
        proven: Callable[[int], None],
        warn: Callable[[str], None],
    ) -> None:
        self._share, self._store, self._ledger, self._links = share, store, ledger, links
        self._threads, self._buffers, self.unproven = threads, buffers, unproven
        self._lose, self._proven, self._warn = lose, proven, warn
        self._prover = Prover(share, store, ledger.have, self._from_prover)
        # by piece, who sent it in this run
        self._sent_by: dict[int, int] = {}
        self._rounds: collections.Counter[int] = collections.Counter()
        self._breaks: collections.Counter[int] = collections.Counter()
        self._doubts: dict[int, _Doubt] = {}
        # by file that was wrong, the crc32 of its pieces with which it was
        self._tried: dict[int, set[tuple[int, ...]]] = {}
        # (member, piece) that are not what was proven, and since when the member knows; it will tell what it has then
        self._told: dict[tuple[int, int], float] = {}
        # by file that was doubted: who waits for its sha256, then what is wrong with it ("" when nothing is)
        self._rechecks: dict[int, list[Callable[[str], None]] | str] = {}
        self.now = 0.0

    def wants(self, file: int) -> bool:
        """Whether the file is still to be written."""
        return file in self.unproven

    def begin(self) -> None:
        """Proves what is here already."""
        self._prover.start()
        empty = []
        for file in sorted(self.unproven):
            one = self._share.plan.files[file]
            if not one.size:
                if one.sha256 != hashlib.sha256().hexdigest():
                    raise LaneError("%s is empty and has another sha256 in the manifest" % one.name)
                empty.append(file)
            elif any(self._ledger.have[piece] for piece, _segment in self._share.pieces_of[file]):
                self._prover.offer(file, 0, None, None)
        self._store.finish(empty)
        for file in empty:
            self._is_right(file)

    def end(self) -> None:
        self._prover.stop()

    def prove(self, member: int, piece: int, view: memoryview) -> None:
        """A piece is written, as it came from a member; `view` holds its bytes and belongs to us."""
        self._sent_by[piece] = member
        segments = self._share.pieces[piece].segments
        if self._prover.busy:
            self._buffers.give_back(view)
            for segment in segments:
                if segment.file in self.unproven:
                    self._prover.offer(segment.file, segment.offset, None, None)
            return
        at = 0
        release = functools.partial(self._buffers.give_back, view)
        wanted = [segment.file in self.unproven for segment in segments]
        crc = self._ledger.crcs[piece] if len(segments) == 1 else None
        last = max((index for index, want in enumerate(wanted) if want), default=None)
        for index, segment in enumerate(segments):
            if wanted[index]:
                part = view[at : at + segment.length]
                self._prover.offer(segment.file, segment.offset, part, release if index == last else None, crc)
            at += segment.length
        if last is None:
            release()

    @property
    def busy(self) -> bool:
        """Whether a file is read again because somebody doubts it, or somebody else does so because we do."""
        return bool(self._told) or any(isinstance(one, list) for one in self._rechecks.values())

    def tick(self, now: float) -> None:
        """Decides about wrong files when the others have said what they have, or do not say it."""
        self.now = now
        self._told = {one: since for one, since in self._told.items() if now - since < DOUBT_S}
        self._ledger.drop_vain_demands()
        for file, doubt in list(self._doubts.items()):
            self._ask(file, doubt)
            if (not doubt.waiting or now - doubt.since > DOUBT_S) and self._decide(file, doubt):
                del self._doubts[file]

    # what the thread tells

    def _from_prover(self, kind: str, file: int, value: Any) -> None:
        self._threads.post(lambda: self._judged(kind, file, value))

    def _judged(self, kind: str, file: int, value: Any) -> None:
        if kind == "failed":
            raise value
        if kind == "wrong":
            self._wrong(file, value)
        elif self._store.ready(file):
            self._is_right(file)

    def _is_right(self, file: int) -> None:
        self.unproven.discard(file)
        self._proven(file)
        if self._tried.pop(file, None):
            self._tell_who_is_wrong(file)

    def complain(self, member: int, piece: int, crc: int) -> None:
        """Tells a member that what it has of a piece is damaged, or should have another crc32; waits for its answer.

        Until then nobody who has the piece may go: it may need it again.
        """
        self._links.members[member].say(wire.BAD, piece, crc)
        self._told[(member, piece)] = self.now

    def _tell_who_is_wrong(self, file: int) -> None:
        """Members that have another crc32 than what was proven look after what they have."""
        pieces = [piece for piece, _segment in self._share.pieces_of[file]]
        for member, peer in self._ledger.peers.items():
            wrong = [p for p in pieces if peer.has[p] and peer.crcs[p] not in (0, self._ledger.crcs[p])]
            for piece in wrong:
                self.complain(member, piece, self._ledger.crcs[piece])
            if wrong:
                self._warn(
                    "%s has other bytes than the manifest in %d pieces of %s, the first of them %s"
                    % (self._share.member(member), len(wrong), self._share.name(file), self._share.where(wrong[0]))
                )

    # wrong files

    def _wrong(self, file: int, crcs: dict[int, int]) -> None:
        """A file has another sha256 than the manifest. `crcs`: its pieces as they are on the disk."""
        ledger = self._ledger
        self._rounds[file] += 1
        broken = [piece for piece, crc in crcs.items() if ledger.crcs[piece] not in (0, crc)]
        if broken:
            if self._rounds[file] > MOST_WRONG:
                raise LaneError("%s changes on the disk again and again: the disk is bad" % self._store.partial(file))
            self._warn(
                "%s changed on the disk after it was written, in %s; it is brought again"
                % (self._share.name(file), self._share.where(broken[0]))
            )
            self._bring_again(file, broken)
            return
        for piece, crc in crcs.items():
            ledger.crcs[piece] = ledger.crcs[piece] or crc
        self._doubts[file] = _Doubt(self.now)

    def _ask(self, file: int, doubt: _Doubt) -> None:
        """Asks those who have not been asked yet what they have of the file."""
        for member, peer in self._ledger.peers.items():
            if member in doubt.asked:
                continue
            doubt.asked.add(member)
            for piece, _segment in self._share.pieces_of[file]:
                if peer.has[piece] and not peer.crcs[piece]:
                    self._links.members[member].say(wire.WHICH, piece)
                    doubt.waiting.add((member, piece))

    def said_crc(self, member: int, piece: int) -> None:
        """A member told what it has of a piece, or that it does not have it."""
        self._told.pop((member, piece), None)
        for doubt in self._doubts.values():
            doubt.waiting.discard((member, piece))

    def left(self, member: int) -> None:
        self._told = {one: since for one, since in self._told.items() if one[0] != member}
        for doubt in self._doubts.values():
            doubt.asked.discard(member)
            doubt.waiting = {one for one in doubt.waiting if one[0] != member}

    def _decide(self, file: int, doubt: _Doubt) -> bool:
        """Takes what another member has where it differs from ours: of one member after the other until it fits.

        Returns False when there is somebody to wait for.
        """
        ledger, pieces = self._ledger, [piece for piece, _segment in self._share.pieces_of[file]]
        tried = self._tried.setdefault(file, set())
        tried.add(tuple(ledger.crcs[piece] for piece in pieces))
        for member in self._witnesses(pieces):
            peer = ledger.peers[member]
            wanted = [
                peer.crcs[piece] if peer.has[piece] and peer.crcs[piece] else ledger.crcs[piece] for piece in pieces
            ]
            if tuple(wanted) in tried:
                continue
            differing = [index for index, piece in enumerate(pieces) if ledger.crcs[piece] != wanted[index]]
            for index in differing:
                ledger.demand(pieces[index], wanted[index])
            self._warn(
                "%s has another sha256 than the manifest; %d of its pieces are brought again as %s has them"
                % (self._share.name(file), len(differing), self._share.member(member))
            )
            self._bring_again(file, [pieces[index] for index in differing])
            return True
        absent = set(self._share.seeders(pieces[0])) - set(ledger.peers) - {self._share.plan.me}
        if absent and self.now - doubt.since < ABSENT_S:
            return False
        # What an earlier run left may have come from a source that was mended since.
        left = [piece for piece in pieces if piece not in self._sent_by]
        if not left:
            raise LaneError(self._why_hopeless(file, pieces))
        self._warn(
            "%s has another sha256 than the manifest; %d pieces that an earlier run left are brought again"
            % (self._share.name(file), len(left))
        )
        self._bring_again(file, left)
        return True

    def _witnesses(self, pieces: list[int]) -> list[int]:
        """Returns the members in the order in which they are believed: first those that had the file before."""
        seeders = self._share.seeders(pieces[0])
        return sorted(self._ledger.peers, key=lambda member: (member not in seeders, member))

    def _bring_again(self, file: int, pieces: list[int]) -> None:
        with self._prover.naming:
            for piece in pieces:
                self._lose(piece)
        self._prover.restart(file)

    def _why_hopeless(self, file: int, pieces: list[int]) -> str:
        senders = sorted({self._sent_by[piece] for piece in pieces if piece in self._sent_by})
        names = ["the source" if member == ORIGIN else self._share.member(member) for member in senders]
        return (
            "%s has another sha256 than the manifest, as it came from %s, and nobody has another copy: the file was "
            "changed since the manifest was made, or a disk or memory is bad; verify the weights of %s in full"
            % (
                self._share.name(file),
                ", ".join(names) or "an earlier run",
                ", ".join(self._share.member(m) for m in self._share.seeders(pieces[0])) or "the source",
            )
        )

    # what breaks here afterwards

    def broken(self, piece: int, why: str) -> None:
        """A piece that was brought here is not what it was, or cannot be read: brings it again.

        A file that had its name already loses it until it is proven again.
        """
        self._breaks[piece] += 1
        if self._breaks[piece] > MOST_WRONG:
            raise LaneError("%s, %d times: the disk is bad" % (why, self._breaks[piece]))
        self._warn("%s; it is brought again" % why)
        files = [file for file in self._share.files_of(piece) if not self._store.complete(file)]
        with self._prover.naming:
            for file in files:
                if self._store.ready(file):
                    self._store.reopen(file)
                    self.unproven.add(file)
            self._lose(piece)
        for file in files:
            self._prover.restart(file)

    def recheck(self, piece: int, answer: Callable[[str], None]) -> None:
        """Somebody wants the piece with other bytes: reads our files of it again, calls `answer(why)` for each.

        `why` is what is wrong with it, "" when nothing is.
        """
        for file in self._share.files_of(piece):
            known = "" if file in self.unproven else self._rechecks.get(file)
            if known is None:
                self._rechecks[file] = [answer]
                work = functools.partial(sha256_of, self._store, file, self._share.plan.files[file].size)
                self._threads.run("read", work, functools.partial(self._rechecked, file), self._fail_to_read(file))
            elif isinstance(known, list):
                known.append(answer)
            else:
                answer(known)

    def _fail_to_read(self, file: int) -> Callable[[StoreError], None]:
        return lambda error: self._is_wrong(file, str(error))

    def _rechecked(self, file: int, digest: str) -> None:
        right = digest == self._share.plan.files[file].sha256
        self._is_wrong(file, "" if right else "%s has another sha256 than the manifest" % self._store.path(file))

    def _is_wrong(self, file: int, why: str) -> None:
        waiting = self._rechecks[file]
        # What is brought again is judged anew.
        self._rechecks[file] = why if self._store.complete(file) else ""
        for answer in waiting if isinstance(waiting, list) else ():
            answer(why)
