# SPDX-License-Identifier: Apache-2.0
"""What of a lane's share is on the disk when it starts."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right

from mindie_exchange import journal
from mindie_exchange.journal import Range
from mindie_exchange.layout import Segment
from mindie_exchange.share import Share
from mindie_exchange.store import Store, is_file


class Coverage:
    """The bytes of one file that were written, and the crc32 of ranges of them."""

    def __init__(self, ranges: list[Range], size: int) -> None:
        """`size`: of the file on the disk; what is said to be behind its end is not there."""
        there = [one for one in ranges if one.offset + one.length <= size]
        self._crcs = {(one.offset, one.length): one.crc for one in there}
        self._starts: list[int] = []
        self._ends: list[int] = []
        for one in sorted(there):
            end = one.offset + one.length
            if self._ends and one.offset <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(one.offset)
                self._ends.append(end)

    def holds(self, segment: Segment) -> bool:
        index = bisect_right(self._starts, segment.offset) - 1
        return index >= 0 and self._ends[index] >= segment.offset + segment.length

    def crc(self, segment: Segment) -> int:
        """Returns the crc32 of exactly this range, or 0 where it is not known."""
        return self._crcs.get((segment.offset, segment.length), 0)


class Found:
    """`unproven`: files that still lack something; `have`: a flag for each piece; `crcs`: 0 where it is not known."""

    def __init__(self, share: Share, store: Store) -> None:
        self.unproven = {file for file in share.files if not store.complete(file) and not store.adopt(file)}
        self.have = bytearray(len(share.pieces))
        self.crcs = array("I", bytes(4 * len(share.pieces)))
        known = journal.read(share.plan.place.incoming) if self.unproven else {}
        coverages: dict[int, Coverage] = {}
        for file in self.unproven:
            path = store.partial(file)
            size = os.lstat(path).st_size if is_file(path) else 0
            coverages[file] = Coverage(known.get(share.name(file), []), size)
        for number, piece in enumerate(share.pieces):
            lacking = [segment for segment in piece.segments if segment.file in self.unproven]
            if all(coverages[segment.file].holds(segment) for segment in lacking):
                self.have[number] = 1
                if len(piece.segments) == len(lacking) == 1:
                    self.crcs[number] = coverages[lacking[0].file].crc(lacking[0])
