# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""A lease of a job that runs for hours: whoever waits for the job touches a file, and a job that nobody waits for any
more ends itself. So it ends, too, when the controller was killed, or its network is gone for good."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import os
import time

# Longer than a controller waits for a host that does not answer.
LEASE_S = 300.0


class Lease(object):
    """The lease file of one job; an empty path is a job without a lease, which runs to its end.

    It begins with the first touch: where several jobs are started and waited for one after the other, the later ones
    are not asked for hours. Times of the file are compared with one another only, never with a clock that may jump.
    """

    def __init__(self, path, lasts=LEASE_S):
        self.path, self.lasts = path, lasts
        self.touched = self.first = None
        self.since = 0.0

    def __enter__(self):
        if self.path:
            os.makedirs(os.path.dirname(self.path), mode=0o750, exist_ok=True)
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640))
            # A time that no touch can have, whatever the ticks of the file system's clock.
            os.utime(self.path, (0, 0))
            self.touched = self.first = self.look()
        return self

    def __exit__(self, *_exception):
        if self.path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)

    def look(self):
        """Returns the time of the last touch; that of before where the file is gone (it is nobody's to remove)."""
        try:
            return os.stat(self.path).st_mtime_ns
        except FileNotFoundError:
            return self.touched

    def ended(self):
        """Whether somebody has waited for the job, and nobody does any more."""
        if not self.path:
            return False
        now, seen = time.monotonic(), self.look()
        if seen != self.touched:
            self.touched, self.since = seen, now
        return self.touched != self.first and now - self.since > self.lasts
