"""Cancelling: the first Ctrl-C asks Ansible to stop, the second one, or a grace time, ends it the hard way.

ansible-runner's own way is a SIGKILL to one process group. With ansible-core 2.19 that leaves the workers running and
their effects happening; SIGINT to ansible-playbook itself ends them all.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Protocol

GRACE_S = 15.0
TELLING_S = 5.0  # more than it takes to end the workers of a playbook that has ended
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Target(Protocol):
    """What can be cancelled: one running playbook."""

    def interrupt(self) -> None:
        """Asks politely. May be called before there is anything to ask."""

    def kill(self) -> None:
        """Ends everything at once."""


class Cancellation:
    """Whether the operator wants the run to end. One for each command, shared by its playbooks."""

    def __init__(self, grace: float = GRACE_S) -> None:
        self.grace = grace
        self.requested = False
        self.forced = False
        self._requested_at = self._told_until = 0.0
        self._target: Target | None = None

    def request(self) -> None:
        """Asks the running playbook to stop; no further one is started."""
        if self.requested:
            return
        self.requested = True
        self._requested_at = time.monotonic()
        if self._target is not None:
            self._target.interrupt()

    def force(self) -> None:
        """Kills the running playbook with all its processes."""
        self.requested = self.forced = True
        if self._target is not None:
            self._target.kill()

    @property
    def overdue(self) -> bool:
        """Whether the grace time is over."""
        return self.requested and time.monotonic() - self._requested_at > self.grace

    @contextlib.contextmanager
    def attached(self, target: Target) -> Iterator[None]:
        """Makes `target` what is cancelled meanwhile."""
        self._target = target
        if self.requested:
            target.interrupt()
        try:
            yield
        finally:
            self._target = None
            if self.requested:
                self._told_until = time.monotonic() + TELLING_S

    def renewed(self) -> Cancellation:
        """Returns a fresh one, for the looking-around after a cancelled run."""
        return Cancellation(self.grace)

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Listens to Ctrl-C, SIGTERM and SIGHUP; outside of a playbook they raise KeyboardInterrupt as usual.

        Only the one after that which has ended a playbook does not: Ctrl-C is often pressed twice at once, and what
        the playbook has left on the hosts is still to be told.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._target is None:
            if not self.forced and time.monotonic() < self._told_until:
                self.forced = True
                return
            self.requested = True
            raise KeyboardInterrupt
        if self.requested:
            self.force()
        else:
            self.request()
