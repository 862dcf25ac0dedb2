# SPDX-License-Identifier: Apache-2.0
"""Counts what comes from an origin, for the status."""

from __future__ import annotations

import threading
import time
from collections import deque

WINDOW_S = 10


class Meter:
    """Counters that several threads raise. `rate`: bytes per second over the last ten seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: deque[list[int]] = deque()  # [second, bytes]
        self._began = time.monotonic()
        self.bytes_received = 0
        self.bytes_asked_twice = 0
        self.requests = 0
        self.failures = 0
        self.targets_asked_anew = 0

    def came(self, count: int) -> None:
        """Notes bytes of a body that are of use."""
        second = int(time.monotonic())
        with self._lock:
            self.bytes_received += count
            if self._seconds and self._seconds[-1][0] == second:
                self._seconds[-1][1] += count
            else:
                self._seconds.append([second, count])
                self._forget(second)

    def raised(self, counter: str, by: int = 1) -> None:
        """Raises one of the counters above."""
        with self._lock:
            setattr(self, counter, getattr(self, counter) + by)

    @property
    def rate(self) -> float:
        now = time.monotonic()
        with self._lock:
            self._forget(int(now))
            return sum(count for _, count in self._seconds) / max(1.0, min(WINDOW_S, now - self._began))

    def _forget(self, second: int) -> None:
        while self._seconds and self._seconds[0][0] <= second - WINDOW_S:
            self._seconds.popleft()
