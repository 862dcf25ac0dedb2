# SPDX-License-Identifier: Apache-2.0
"""A limit on bytes per second."""

from __future__ import annotations


class Limit:
    """So many bytes per second on average; 0 is no limit. What was used beforehand is made up for by waiting."""

    # What is not used is kept for so long.
    BURST_S = 0.25

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._left = rate * self.BURST_S
        self._filled = now

    def refill(self, now: float) -> None:
        if self._rate:
            self._left = min(self._rate * self.BURST_S, self._left + self._rate * (now - self._filled))
            self._filled = now

    def used(self, count: int) -> None:
        if self._rate:
            self._left -= count

    def left(self, most: int) -> int:
        """Returns how many bytes may move now, at most `most`; 0 or less: none."""
        return min(most, int(self._left)) if self._rate else most

    def pause(self) -> float:
        """Returns after how many seconds something may move again."""
        return max(0.0, -self._left / self._rate) if self._rate else 0.0
