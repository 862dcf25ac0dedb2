# SPDX-License-Identifier: Apache-2.0
"""How files are cut into pieces and shared out among lanes. Every member computes the same from the same plan."""

from __future__ import annotations

from typing import Hashable, NamedTuple, Sequence


class Segment(NamedTuple):
    """A range of a file: index of the file in the plan, offset and length in bytes."""

    file: int
    offset: int
    length: int


class Piece(NamedTuple):
    """What travels as one: a range of one large file, or several whole small files. `length` in bytes."""

    length: int
    segments: tuple[Segment, ...]


def lanes_of(sizes: Sequence[int], lanes: int) -> list[list[int]]:
    """Returns the indices of the files of every lane: equal shares of bytes, as far as whole files allow."""
    shares: list[list[int]] = [[] for _ in range(lanes)]
    loads = [0] * lanes
    for index in sorted(range(len(sizes)), key=lambda i: (-sizes[i], i)):
        lightest = loads.index(min(loads))
        shares[lightest].append(index)
        loads[lightest] += sizes[index]
    return [sorted(share) for share in shares]


def pieces_of(
    sizes: Sequence[int], files: Sequence[int], piece_size: int, holders: Sequence[Hashable] | None = None
) -> list[Piece]:
    """Returns the pieces of the files of one lane, in the order of the files.

    A file larger than piece_size has pieces of its own; smaller ones travel together, whole, up to piece_size. Empty
    files are in no piece. Only files that the same members have from the beginning (equal `holders`, by file) travel
    together: otherwise nobody might have the whole piece.
    """
    pieces: list[Piece] = []
    groups: dict[Hashable, list[Segment]] = {}
    lengths: dict[Hashable, int] = {}
    for index in files:
        size = sizes[index]
        if size > piece_size:
            for offset in range(0, size, piece_size):
                length = min(piece_size, size - offset)
                pieces.append(Piece(length, (Segment(index, offset, length),)))
        elif size:
            key = holders[index] if holders else None
            if lengths.get(key, 0) + size > piece_size:
                pieces.append(Piece(lengths.pop(key), tuple(groups.pop(key))))
            groups.setdefault(key, []).append(Segment(index, 0, size))
            lengths[key] = lengths.get(key, 0) + size
    pieces.extend(Piece(lengths[key], tuple(group)) for key, group in groups.items())
    return pieces
