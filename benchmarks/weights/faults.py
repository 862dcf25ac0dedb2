"""What goes wrong during a run. Each fault waits until its member has carried a share of the payload."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from .network import LabError

if TYPE_CHECKING:
    from .agents import Agents


class Fault(Protocol):
    """Looks at the run often, and does its harm when the time has come."""

    @property
    def under_way(self) -> bool:
        """Whether the run must go on, because the harm was begun and is not over."""

    def tick(self, agents: Agents) -> None:
        """Called about a hundred times a second."""

    def happened(self) -> None:
        """Raises LabError when the run ended before the fault was over."""


@dataclass
class Outage:
    """A member is away for some seconds, from the moment when its link has carried `share` of the payload."""

    member: int
    share: float = 0.4
    seconds: float = 2.0
    _began: float | None = None
    _over: bool = False

    @property
    def under_way(self) -> bool:
        """Whether the member is away."""
        return self._began is not None and not self._over

    def tick(self, agents: Agents) -> None:
        """Takes the member away, and brings it back."""
        if self._over:
            return
        if self._began is None:
            if max(agents.carried(self.member)) >= self.share * agents.lab.payload.size:
                self.take(agents)
                self._began = time.monotonic()
        elif time.monotonic() - self._began >= self.seconds:
            self.give_back(agents)
            self._over = True

    def happened(self) -> None:
        """Raises LabError when the run ended before the member was back."""
        if not self._over:
            raise LabError(f"m{self.member} was not away and back before the run ended: the payload is too small")

    def take(self, agents: Agents) -> None:
        """How the member goes."""
        raise NotImplementedError

    def give_back(self, agents: Agents) -> None:
        """How it comes back."""
        raise NotImplementedError


class Kill(Outage):
    """The agent is killed with all its processes, and started again."""

    def take(self, agents: Agents) -> None:
        """kill -9."""
        killed = agents.running.pop(self.member)
        killed.stop(signal.SIGKILL)

    def give_back(self, agents: Agents) -> None:
        """Started again with the same plan."""
        agents.start(self.member)


class Cut(Outage):
    """The cable is pulled and put back."""

    def take(self, agents: Agents) -> None:
        """Pulls it."""
        agents.lab.net.cut(self.member)

    def give_back(self, agents: Agents) -> None:
        """Puts it back."""
        agents.lab.net.mend(self.member)


@dataclass
class Throttle:
    """A member's link becomes slower for the rest of the run, when it has carried `share` of the payload."""

    member: int
    rate: float  # bytes/s
    share: float = 0.4
    _done: bool = False

    @property
    def under_way(self) -> bool:
        """Never: nothing is undone."""
        return False

    def tick(self, agents: Agents) -> None:
        """Shapes the link anew, once."""
        if not self._done and max(agents.carried(self.member)) >= self.share * agents.lab.payload.size:
            agents.lab.net.shape(self.member, self.rate)
            self._done = True

    def happened(self) -> None:
        """Raises LabError when the run ended before."""
        if not self._done:
            raise LabError(f"the link of m{self.member} did not become slower before the run ended")
