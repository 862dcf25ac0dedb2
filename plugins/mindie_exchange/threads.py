# SPDX-License-Identifier: Apache-2.0
"""The threads of a lane: they read and write files, and everything is decided in the loop."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections import deque
from typing import Any, Callable

from mindie_exchange.store import StoreError

THREADS = {"write": 2, "read": 2, "sync": 1}


class Pool:
    """A few threads that take work in its order; they end with the process. (concurrent.futures brings logging and
    more with it, which costs the start-up of every lane.)"""

    def __init__(self, count: int, name: str) -> None:
        self._count, self._name = count, name
        self._work: queue.Queue[Callable[[], None]] = queue.Queue()
        self._begun = 0

    def submit(self, work: Callable[[], None]) -> None:
        """Does the work in a thread. It must raise nothing."""
        self._work.put(work)
        if self._begun < self._count:
            self._begun += 1
            threading.Thread(target=self._run, name="%s_%d" % (self._name, self._begun), daemon=True).start()

    def _run(self) -> None:
        while True:
            self._work.get()()


class Threads:
    """`wake`: a descriptor that can be read when work_off() has something to do."""

    def __init__(self) -> None:
        self.wake, self._waker = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(self._waker, False)
        self._events: deque[Callable[[], None]] = deque()
        self._pools = {name: Pool(count, name) for name, count in THREADS.items()}

    def run(
        self,
        pool: str,
        work: Callable[[], Any],
        then: Callable[[Any], None],
        otherwise: Callable[[StoreError], None] | None = None,
    ) -> None:
        """Does the work in a thread, then `then(result)` in the loop.

        A StoreError goes to `otherwise`, in the loop, when there is one; every other exception is raised in the loop.
        """

        def all_of_it() -> None:
            try:
                result = work()
            except StoreError as error:
                trouble = error
                self.post(lambda: otherwise(trouble) if otherwise is not None else _raise(trouble))
            except BaseException as error:
                unforeseen = error
                self.post(lambda: _raise(unforeseen))
            else:
                self.post(lambda: then(result))

        self._pools[pool].submit(all_of_it)

    def post(self, event: Callable[[], None]) -> None:
        """From a thread: lets the loop do something."""
        self._events.append(event)
        with contextlib.suppress(BlockingIOError):  # it is full, so the loop wakes up in any case
            os.write(self._waker, b".")

    def work_off(self) -> None:
        """In the loop: does what the threads posted."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake, 4096)
        while self._events:
            self._events.popleft()()


def _raise(error: BaseException) -> None:
    raise error


class Buffers:
    """Memory for pieces, used again and again. Safe for threads."""

    def __init__(self, size: int, most: int) -> None:
        self._size, self._most = size, most
        self._spare: list[bytearray] = []

    def get(self) -> bytearray:
        try:
            return self._spare.pop()
        except IndexError:
            return bytearray(self._size)

    def view(self, length: int) -> memoryview:
        return memoryview(self.get())[:length]

    def give_back(self, view: memoryview) -> None:
        if len(self._spare) < self._most and isinstance(view.obj, bytearray):
            self._spare.append(view.obj)
