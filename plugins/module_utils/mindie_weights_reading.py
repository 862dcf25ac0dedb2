# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""Reads files with several threads (hashlib, zlib and read let go of the interpreter) and writes the progress."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import collections
import hashlib
import os
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

from ansible.module_utils.mindie_weights_pieces import PIECE, PieceSums
from ansible.module_utils.mindie_weights_state import identity, write_json

BLOCK = 4 * 1024 * 1024


class ReadingError(Exception):
    """A file cannot be read as it is; something to tell the operator without a traceback."""


class Reading(object):
    """One reading of some files. `state` is a word for the progress, `total_bytes` what will be read."""

    def __init__(self, status_file, state, total_bytes, workers):
        self.status_file, self.state, self.total_bytes = status_file, state, total_bytes
        self.workers = workers or min(16, os.cpu_count() or 1)
        self.lock = threading.Lock()
        self.done_bytes = self.done_files = 0
        self.started = time.time()

    def run(self, jobs, report):
        """Carries out jobs, {name: function(tell)}; returns [(name, value, problem)].

        A function calls tell(bytes read) now and then. Calls report(results so far) every 15 s.
        """
        results = []
        shown = kept = time.time()
        with ThreadPoolExecutor(self.workers) as pool:
            futures = collections.deque(pool.submit(self._one, name, work) for name, work in jobs.items())
            while futures:
                if futures[0].done():
                    results.append(futures.popleft().result())
                else:
                    time.sleep(0.02)
                now = time.time()
                if now - shown >= 1:
                    shown = now
                    self._progress(len(jobs))
                if now - kept >= 15:
                    kept = now
                    report(results)
        return results

    def _one(self, name, work):
        try:
            value = work(self._tell)
        except OSError as error:
            return name, None, error.strerror or str(error)
        except ReadingError as error:
            return name, None, str(error)
        with self.lock:
            self.done_files += 1
        return name, value, None

    def _tell(self, count):
        with self.lock:
            self.done_bytes += count

    def _progress(self, files):
        elapsed = max(0.001, time.time() - self.started)
        with self.lock:
            done_bytes, done_files = self.done_bytes, self.done_files
        line = {
            "state": self.state,
            "files": files,
            "files_done": done_files,
            "bytes": self.total_bytes,
            "bytes_done": done_bytes,
            "rate": int(done_bytes / elapsed),
            "elapsed_s": round(elapsed, 1),
        }
        write_json(self.status_file, line, 0o640)


def read_whole(path, tell, from_disk):
    """Returns (sha256, PieceSums, identity) of a file. Raises OSError, ReadingError.

    `from_disk`: what memory holds of the file does not count.
    """
    digest, sums, value, at = hashlib.sha256(), [], 0, 0
    block = memoryview(bytearray(BLOCK))
    with open(path, "rb", buffering=0) as handle:
        before = os.fstat(handle.fileno())
        _let_the_tick_pass(before)
        if from_disk:
            os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while True:
            count = handle.readinto(block[: min(BLOCK, PIECE - at % PIECE)])
            if not count:
                break
            digest.update(block[:count])
            value = zlib.crc32(block[:count], value)
            at += count
            if at % PIECE == 0:
                sums.append(value)
                value = 0
            tell(count)
        if at % PIECE:
            sums.append(value)
        after = os.fstat(handle.fileno())
    _require_same(before, after)
    return digest.hexdigest(), PieceSums(at, PIECE, sums), identity(after)


def read_sample(path, expected, numbers, tell):
    """Reads some pieces of a file from its disk, and returns (numbers of those that are not as `expected`, a PieceSums,
    says; identity). Raises OSError, ReadingError."""
    broken = []
    block = memoryview(bytearray(BLOCK))
    with open(path, "rb", buffering=0) as handle:
        before = os.fstat(handle.fileno())
        _let_the_tick_pass(before)
        for number in numbers:
            begin, length = number * expected.piece_size, expected.length(number)
            os.posix_fadvise(handle.fileno(), begin, length, os.POSIX_FADV_DONTNEED)
            handle.seek(begin)
            value, left = 0, length
            while left:
                count = handle.readinto(block[: min(BLOCK, left)])
                if not count:
                    raise ReadingError("it ended while it was read")
                value = zlib.crc32(block[:count], value)
                left -= count
                tell(count)
            if value != expected.sums[number]:
                broken.append(number)
        after = os.fstat(handle.fileno())
    _require_same(before, after)
    return broken, identity(after)


def _let_the_tick_pass(info):
    """File times move in ticks of some milliseconds: a write right after a reading, within the tick of the last change,
    would leave no trace. So that tick passes first."""
    age = time.time() - info.st_ctime
    if 0 <= age < 0.05:
        time.sleep(0.05)


def _require_same(before, after):
    if identity(before) != identity(after):
        raise ReadingError("it was written while it was read")
