"""Which hosts the current task still waits for, and how long those took that answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mindie_deploy.runs.events import Event

STARTED = "runner_on_start"
ENDINGS = {
    "runner_on_ok": "answered",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
    "runner_on_skipped": "",  # nothing was asked
}
NAMED = 4


@dataclass(frozen=True)
class HostState:
    """One host in the current task: "waiting" or how it ended, and since when or how long (s)."""

    host: str
    state: str
    seconds: float


class TaskHosts:
    """The hosts of one task. Times are of a monotonic clock (s)."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self._ended: dict[str, tuple[str, float]] = {}

    def take(self, event: Event, now: float) -> None:
        """Takes the start or the end of a host's part in."""
        if event.kind == STARTED:
            self._began.setdefault(event.host, now)
        elif event.kind in ENDINGS and event.host in self._began:
            if state := ENDINGS[event.kind]:
                self._ended.setdefault(event.host, (state, now))
            else:
                del self._began[event.host]

    def states(self, now: float, most: int) -> list[HostState]:
        """Returns the hosts as far as `most` rows hold them; those that are waited for first when not all fit."""
        hosts = list(self._states(now))
        if len(hosts) > most:
            hosts.sort(key=lambda one: one.state == "answered")
        return hosts[:most]

    def waited_for(self) -> str:
        """Returns words about the hosts that have not answered; empty unless there are some of several."""
        waiting = [host for host in self._began if host not in self._ended]
        if not waiting or len(self._began) < 2:
            return ""
        more = f" and {len(waiting) - NAMED} more" if len(waiting) > NAMED else ""
        answered = len(self._began) - len(waiting)
        return f"{answered} of {len(self._began)} hosts answered, waiting for {', '.join(waiting[:NAMED])}{more}"

    def _states(self, now: float) -> Iterator[HostState]:
        for host, began in self._began.items():
            state, ended = self._ended.get(host, ("waiting", now))
            yield HostState(host, state, ended - began)
