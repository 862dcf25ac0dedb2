# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""crc32 of every piece of a file's content, kept with its sha256: tells where a file is broken, and lets a part of it
be compared without reading all of it.

A file of text with a line for every content: sha256, size, size of a piece, the crc32 of all pieces one after the other
in hex, and the crc32 of the line before it. 1.3 TB in pieces of 8 MiB are 1.3 MB. A content is the same wherever it
stands, so that the lines outlive a file that was touched, and its successor.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import random
import re
import zlib

from ansible.module_utils.mindie_weights_state import whole_lines, write_text

PIECE = 8 * 1024 * 1024
SMALLEST_PIECE = 4096
ROW = re.compile(r"([0-9a-f]{64})\t(\d{1,18})\t(\d{1,18})\t((?:[0-9a-f]{8})*)\t([0-9a-f]{8})\Z")


class PieceSums(object):
    """The checksums of one content: size of the content and of a piece in bytes, crc32 of the pieces in order."""

    def __init__(self, size, piece_size, sums):
        self.size, self.piece_size, self.sums = size, piece_size, sums

    def length(self, number):
        """Returns the bytes of a piece; the last one may be shorter."""
        return min(self.piece_size, self.size - number * self.piece_size)

    def chosen(self, wanted, seed):
        """Returns the numbers of some pieces, in order: `wanted` of them, or for 0 about 1 % and at least one."""
        count = wanted or -(-len(self.sums) // 100)
        return sorted(random.Random(seed).sample(range(len(self.sums)), min(count, len(self.sums))))

    def ranges(self, numbers):
        """Returns [[offset, length], ...] of pieces, neighbours together."""
        ranges = []
        for number in sorted(numbers):
            offset, length = number * self.piece_size, self.length(number)
            if ranges and ranges[-1][0] + ranges[-1][1] == offset:
                ranges[-1][1] += length
            else:
                ranges.append([offset, length])
        return ranges

    def differing(self, other):
        """Returns the numbers of the pieces that another content of the same size has otherwise; None when they cannot
        be compared."""
        if other is None or (self.size, self.piece_size) != (other.size, other.piece_size):
            return None
        return [number for number, value in enumerate(self.sums) if value != other.sums[number]]


class Pieces(object):
    """What is remembered, by sha256; read when it is first needed. A damaged file or line counts as none."""

    def __init__(self, path):
        self.path = path
        self.changed = False
        self._contents = None

    @property
    def contents(self):
        if self._contents is None:
            self._contents = read_sums(os.path.dirname(self.path), [os.path.basename(self.path)])
        return self._contents

    def of(self, sha256, size):
        """Returns the PieceSums of a content, or None."""
        found = self.contents.get(sha256)
        return found if found is not None and found.size == size else None

    def add(self, sha256, sums):
        """Remembers the PieceSums of a content."""
        self.contents[sha256] = sums
        self.changed = True

    def save(self, keep=None):
        """Writes what belongs to a content of `keep` (sha256s; None: all), when that is not what is written.

        Raises OSError.
        """
        kept = {sha256: sums for sha256, sums in self.contents.items() if keep is None or sha256 in keep}
        if not self.changed and len(kept) == len(self.contents):
            return
        self._contents, self.changed = kept, False
        write_text(self.path, "".join(_line(sha256, sums) for sha256, sums in sorted(kept.items())), 0o600)


def read_sums(directory, names):
    """Returns {sha256: PieceSums} of files in the directory. A damaged file or line counts as none."""
    return dict(pair for pair in map(_content, whole_lines(directory, names)) if pair is not None)


def _line(sha256, one):
    text = "%s\t%d\t%d\t%s\t" % (sha256, one.size, one.piece_size, "".join("%08x" % value for value in one.sums))
    return "%s%08x\n" % (text, zlib.crc32(text.encode()))


def _content(line):
    """Returns (sha256, PieceSums) of a line, or None."""
    found = ROW.match(line)
    if not found or zlib.crc32(line[: -len(found.group(5))].encode()) != int(found.group(5), 16):
        return None
    size, piece_size, text = int(found.group(2)), int(found.group(3)), found.group(4)
    if piece_size < SMALLEST_PIECE or len(text) // 8 != -(-size // piece_size):
        return None
    return found.group(1), PieceSums(size, piece_size, [int(text[at : at + 8], 16) for at in range(0, len(text), 8)])
