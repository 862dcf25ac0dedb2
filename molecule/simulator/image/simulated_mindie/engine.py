"""Token by token: places in the batch, the token rate, the gang's part in each step, the two time limits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from .metrics import Metrics

STEP_SECONDS = 0.5


class EngineTimeoutError(Exception):
    """tokenTimeout or e2eTimeout has passed; a request that has sent nothing yet ends with 500 (source 4.3)."""


class Gang(Protocol):
    """The followers, or nobody."""

    def step(self, deadline: float) -> bool: ...


class Alone:
    """A single node has no followers to wait for."""

    def step(self, deadline: float) -> bool:
        return True


class Engine:
    """Shares `places` between requests; rate in tokens a second for each request, timeouts in seconds."""

    def __init__(self, gang: Gang, rate: float, places: int, token_timeout: int, e2e_timeout: int) -> None:
        self._gang = gang
        self._rate = rate
        self._places = threading.BoundedSemaphore(places)
        self._token_timeout = token_timeout
        self._e2e_timeout = e2e_timeout
        self.metrics = Metrics()

    def generate(self, pieces: Sequence[str], prompt_tokens: int, limit: float | None = None) -> Iterator[str]:
        """Yields the pieces in time. `limit` (seconds) stands in for both time limits. Raises EngineTimeoutError."""
        began = time.monotonic()
        token_limit = limit if limit is not None else self._token_timeout
        end = began + (limit if limit is not None else self._e2e_timeout)
        with self.metrics.request(prompt_tokens) as record:
            if not self._places.acquire(timeout=max(0.0, end - began)):
                raise EngineTimeoutError
            try:
                record.start()
                yield from self._steps(pieces, token_limit, end, record.token)
                record.success()
            finally:
                self._places.release()

    def _steps(self, pieces: Sequence[str], token_limit: float, end: float, count: Callable[[], None]) -> Iterator[str]:
        began = last_token = time.monotonic()
        next_step = began
        for index, piece in enumerate(pieces):
            now = time.monotonic()
            if now >= next_step:
                # Every host works on every token: with a dead follower this lasts until a limit (source 4.3).
                deadline = min(last_token + token_limit, end)
                if not self._gang.step(deadline):
                    raise EngineTimeoutError
                next_step = now + STEP_SECONDS
            due = began + (index + 1) / self._rate
            if min(due, last_token + token_limit) >= end:
                time.sleep(max(0.0, end - time.monotonic()))
                raise EngineTimeoutError
            time.sleep(max(0.0, due - time.monotonic()))
            last_token = time.monotonic()
            count()
            yield piece
