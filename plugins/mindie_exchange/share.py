# SPDX-License-Identifier: Apache-2.0
"""What one lane exchanges: its share of the files, cut into pieces."""

from __future__ import annotations

from mindie_exchange.layout import Piece, Segment, lanes_of, pieces_of
from mindie_exchange.plan import Plan


class LaneError(Exception):
    """Ends the run on this member; something to tell the operator."""


class Share:
    """The files and pieces of lane `number`. Files are indices into the plan, pieces into `pieces`."""

    def __init__(self, plan: Plan, number: int) -> None:
        self.plan, self.number = plan, number
        sizes = [file.size for file in plan.files]
        holders = [plan.seeders(file) for file in range(len(sizes))]
        self.files: list[int] = lanes_of(sizes, plan.lanes)[number]
        self.pieces: list[Piece] = pieces_of(sizes, self.files, plan.piece_size, holders)
        self._seeders = [holders[piece.segments[0].file] for piece in self.pieces]
        self.bytes = sum(piece.length for piece in self.pieces)
        # by file, its pieces in the order of its bytes, each with the part that belongs to the file
        self.pieces_of: dict[int, list[tuple[int, Segment]]] = {}
        for piece, one in enumerate(self.pieces):
            for segment in one.segments:
                self.pieces_of.setdefault(segment.file, []).append((piece, segment))

    def seeders(self, piece: int) -> tuple[int, ...]:
        """Returns the members that have the piece from the beginning, in the order of members."""
        return self._seeders[piece]

    def name(self, file: int) -> str:
        return self.plan.files[file].name

    def member(self, index: int) -> str:
        return self.plan.members[index].name

    def files_of(self, piece: int) -> list[int]:
        """Returns the files that the piece is made of."""
        return [segment.file for segment in self.pieces[piece].segments]

    def where(self, piece: int) -> str:
        """Returns the words for a piece that an operator can follow: file and bytes."""
        segments = self.pieces[piece].segments
        first = segments[0]
        if len(segments) > 1:
            return "%s and %d small files after it" % (self.name(first.file), len(segments) - 1)
        return "%s, bytes %d to %d" % (self.name(first.file), first.offset, first.offset + first.length - 1)

    def bytes_of(self, flags: bytearray) -> int:
        """Returns how many bytes the pieces have whose flag is set."""
        return sum(piece.length for number, piece in enumerate(self.pieces) if flags[number])
