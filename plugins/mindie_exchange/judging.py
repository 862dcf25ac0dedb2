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


class _Doubt:
    """A wrong file: since when, and who is to say the crc32 of which piece."""

    def __init__(self, since: float) -> None:
        self.since = since
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
        self._rechecked: set[int] = set()
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
        last = max((index for index, want in enumerate(wanted) if want), default=None)
        for index, segment in enumerate(segments):
            if wanted[index]:
                part = view[at : at + segment.length]
                self._prover.offer(segment.file, segment.offset, part, release if index == last else None)
            at += segment.length
        if last is None:
            release()

    def tick(self, now: float) -> None:
        """Decides about wrong files when the others have said what they have, or do not say it."""
        self.now = now
        for file, doubt in list(self._doubts.items()):
            if not doubt.waiting or now - doubt.since > DOUBT_S:
                del self._doubts[file]
                self._decide(file)

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
        for piece, _segment in self._share.pieces_of.get(file, ()):
            ours = self._ledger.crcs[piece]
            for member, peer in self._ledger.peers.items():
                if peer.has[piece] and ours and peer.crcs[piece] and self._ledger.is_refuted(piece, peer.crcs[piece]):
                    self._links.members[member].say(wire.BAD, piece, ours)
                    self._warn(
                        "%s has other bytes than the manifest in %s"
                        % (self._share.member(member), self._share.where(piece))
                    )

    # wrong files

    def _wrong(self, file: int, crcs: dict[int, int]) -> None:
        """A file has another sha256 than the manifest. `crcs`: its pieces as they are on the disk."""
        ledger = self._ledger
        self._rounds[file] += 1
        broken = [piece for piece, crc in crcs.items() if ledger.crcs[piece] not in (0, crc)]
        if broken and self._rounds[file] <= MOST_WRONG:
            self._warn(
                "%s changed on the disk after it was written, in %s; it is brought again"
                % (self._share.name(file), self._share.where(broken[0]))
            )
            self._bring_again(file, broken)
            return
        for piece, crc in crcs.items():
            ledger.crcs[piece] = ledger.crcs[piece] or crc
        doubt = self._doubts[file] = _Doubt(self.now)
        for member, peer in ledger.peers.items():
            for piece in crcs:
                if peer.has[piece] and not peer.crcs[piece]:
                    self._links.members[member].say(wire.WHICH, piece)
                    doubt.waiting.add((member, piece))

    def said_crc(self, member: int, piece: int) -> None:
        """A member told what it has of a piece, or that it does not have it."""
        for doubt in self._doubts.values():
            doubt.waiting.discard((member, piece))

    def left(self, member: int) -> None:
        for doubt in self._doubts.values():
            doubt.waiting = {one for one in doubt.waiting if one[0] != member}

    def _decide(self, file: int) -> None:
        ledger = self._ledger
        pieces = [piece for piece, _segment in self._share.pieces_of[file]]
        other = [
            piece
            for piece in pieces
            if any(
                peer.has[piece]
                and peer.crcs[piece] not in (0, ledger.crcs[piece])
                and not ledger.is_refuted(piece, peer.crcs[piece])
                for peer in ledger.peers.values()
            )
        ]
        # What an earlier run left, where nobody contradicts it, may have come from a source that was mended since.
        again = other or [piece for piece in pieces if piece not in self._sent_by]
        if not again or self._rounds[file] > MOST_WRONG:
            raise LaneError(self._why_hopeless(file, pieces))
        for piece in other:
            ledger.refute(piece, ledger.crcs[piece])
        self._warn(
            "%s has another sha256 than the manifest; %d of its pieces are brought again%s"
            % (self._share.name(file), len(again), ", from members that have others" if other else "")
        )
        self._bring_again(file, again)

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

    def recheck(self, piece: int, found: Callable[[int, str], None]) -> None:
        """Somebody has proven the piece with other bytes: reads our files again, calls `found(piece, why)` if wrong."""
        for file in self._share.files_of(piece):
            if file in self._rechecked or file in self.unproven:
                continue
            self._rechecked.add(file)
            one = self._share.plan.files[file]

            def judge(digest: str, file: int = file) -> None:
                if digest != self._share.plan.files[file].sha256:
                    found(piece, "%s has another sha256 than the manifest" % self._store.path(file))

            def cannot(error: StoreError) -> None:
                found(piece, str(error))

            self._threads.run("read", functools.partial(sha256_of, self._store, file, one.size), judge, cannot)
