# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""Takes the good pieces of a broken file over into its successor, so that only the broken ones are brought.

What they must be is known by the crc32 of the pieces that are remembered for the wanted sha256. The successor is a
partial file of the exchange, and what is in it stands in a journal of the exchange; its sha256 is proven as that of any
other file. The broken file stays where it is, so that the disk must have room for both.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import stat
import threading
import zlib

from ansible.module_utils.mindie_weights_pieces import PIECE
from ansible.module_utils.mindie_weights_reading import Reading
from ansible.module_utils.mindie_weights_state import JOURNAL, WeightsError, arrived_ranges

# Among the journals, whose format is told in plugins/mindie_exchange/journal.py.
NAME = JOURNAL + ".reused"


def reuse(final, incoming, broken, status_file):
    """Takes over what is good of files in the directory `final`.

    `incoming`: the hidden directory, an Incoming that this run holds; `broken`: {name: (PieceSums of what the file must
    be, PieceSums of what it is or None)}. Raises WeightsError when the disk does not take what is written.
    """
    arrived = arrived_ranges(incoming.path)
    journal = _Journal(os.path.join(incoming.path, NAME))
    jobs, total = {}, 0
    for name, (wanted, found) in broken.items():
        numbers = _worth_reading(wanted, found, arrived.get(name, []))
        if numbers:
            total += sum(wanted.length(number) for number in numbers)
            jobs[name] = _job(name, os.path.join(final, name), incoming.partial(name), wanted, numbers, journal)
    if not jobs:
        return
    reading = Reading(status_file, "reusing", total, 0)
    for name, _value, problem in reading.run(jobs, lambda _results: None):
        if problem:
            raise WeightsError("%s on %s cannot be written: %s" % (incoming.partial(name), incoming.host, problem))


def _worth_reading(wanted, found, arrived):
    """Returns the numbers of the pieces that may be good and are not there yet."""
    # A file of one piece is right or has nothing that is good.
    if wanted.piece_size > PIECE or len(wanted.sums) < 2:
        return []
    bad = set(wanted.differing(found) or ())
    return [n for n in range(len(wanted.sums)) if n not in bad and not _is_there(wanted, n, arrived)]


def _is_there(wanted, number, arrived):
    begin = number * wanted.piece_size
    return any(one[0] <= begin and begin + wanted.length(number) <= one[1] for one in arrived)


def _job(name, source, target, wanted, numbers, journal):
    return lambda tell: _take_over(name, source, target, wanted, numbers, journal, tell)


def _take_over(name, source, target, wanted, numbers, journal, tell):
    """Copies the pieces that are what they must be. Raises OSError when they cannot be written."""
    rows = []
    block = memoryview(bytearray(wanted.piece_size))
    try:
        reader = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return  # all of it is brought
    writer = None
    try:
        if not stat.S_ISREG(os.fstat(reader).st_mode):
            return
        for number in numbers:
            begin, view = number * wanted.piece_size, block[: wanted.length(number)]
            good = _read(reader, view, begin) and zlib.crc32(view) == wanted.sums[number]
            tell(len(view))
            if good:
                writer = _open(target) if writer is None else writer
                _write(writer, view, begin)
                rows.append((name, begin, len(view), wanted.sums[number]))
        if writer is not None:
            os.fsync(writer)
            journal.note(rows)
    finally:
        os.close(reader)
        if writer is not None:
            os.close(writer)


def _read(number, view, offset):
    """Fills the view; returns whether all of it could be read."""
    at = 0
    while at < len(view):
        try:
            count = os.preadv(number, [view[at:]], offset + at)
        except OSError:
            return False  # the disk is bad there: the piece is brought
        if not count:
            return False
        at += count
    return True


def _open(target):
    os.makedirs(os.path.dirname(target), mode=0o750, exist_ok=True)
    return os.open(target, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _write(number, view, offset):
    at = 0
    while at < len(view):
        at += os.pwrite(number, view[at:], offset + at)


class _Journal(object):
    """Says what is in partial files. Safe for threads."""

    def __init__(self, path):
        self.path = path
        self.lock = threading.Lock()

    def note(self, rows):
        """Notes (name, offset, length, crc32) of ranges that are on the disk. Raises OSError."""
        # The line end is for a line that was cut off when the last writer died.
        text = ("\n" + "".join("%s\t%d\t%d\t%08x\n" % row for row in rows)).encode()
        with self.lock:
            number = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                text += b"#synced %d\n" % (os.fstat(number).st_size + len(text))
                while text:
                    text = text[os.write(number, text) :]
                os.fsync(number)
            finally:
                os.close(number)
