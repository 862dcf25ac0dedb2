"""What to think of an agent of an exchange, from what it wrote last: wait, look closer, start it again, or end."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from mindie_deploy.errors import MindieDeployError
from mindie_deploy.weights.exchange import CONTROLLER
from mindie_deploy.weights.progress import number

LOST_AFTER_S = 300.0
# An agent writes its status every second; after this silence it is asked whether it still runs.
SILENT_AFTER_S = 10.0
# Between two looks at a host that answers slowly.
SLACK_S = 20.0
NO_PROGRESS_S = 600.0
# So long the others may live from what they have, when the agent beside the source is gone.
SOURCE_GONE_S = 60.0
MOST_RESTARTS = 5
SHOW_EVERY_S = 5.0


class ExchangeError(MindieDeployError):
    """The exchange does not come to its end; what has arrived is kept."""


class Verdict(StrEnum):
    """`silent`: it may have been killed, see whether it runs. `killed`: start it again."""

    WAIT = "wait"
    ARRIVED = "arrived"
    SILENT = "silent"
    KILLED = "killed"


class Watch:
    """Watches one member. Times are in seconds of one clock that never goes back.

    `what` is what travels, as messages name it; `port` is the one that the members listen on.
    """

    def __init__(self, member: str, what: str, port: int, time_limit_s: float, now: float) -> None:
        self.member, self.what, self.port, self.time_limit_s = member, what, port, time_limit_s
        self._began = self._answered = self._moved = now
        self._shown = now - SHOW_EVERY_S
        self._restarts = 0
        self._progress = -1
        self._news: object = None
        self._heard_news = now

    def elapsed(self, now: float) -> float:
        return now - self._began

    def heard(self, status: Mapping[str, Any], age: float, now: float) -> Verdict:
        """Judges what the agent wrote, `age` seconds ago; {} when it wrote nothing yet. Raises ExchangeError."""
        self._answered = now
        state = status.get("state")
        if state in ("serving", "done"):
            return Verdict.ARRIVED
        if state == "failed":
            raise ExchangeError(f"{self.member}: {str(status.get('message'))[:2000]}")
        self._note_progress(status, now)
        if self.elapsed(now) > self.time_limit_s:
            raise ExchangeError(
                f"bringing {self.what} to {self.member} took longer than {self.time_limit_s:.0f} s, the time limit",
                "see what the slowest host waits for; what has arrived is kept, run it again",
            )
        if state == "stopped":
            return Verdict.KILLED
        # The host's clock may jump, so what counts beside the age is whether there is news by our own.
        news = status.get("elapsed_s")
        if news != self._news:
            self._news, self._heard_news = news, now
        quiet = now - self._heard_news > SILENT_AFTER_S + SLACK_S
        return Verdict.SILENT if age > SILENT_AFTER_S or quiet else Verdict.WAIT

    def beside_source(self, status: Mapping[str, Any], alive: bool, now: float) -> None:
        """Judges the agent beside the source, on the controller. Raises ExchangeError when the member waits in vain."""
        if status.get("state") == "failed":
            raise ExchangeError(f"{CONTROLLER}: {str(status.get('message'))[:2000]}")
        if not alive and now - self._moved > SOURCE_GONE_S:
            raise ExchangeError(
                f"the agent on the controller is gone, and nothing of {self.what} has come to {self.member} for "
                f"{SOURCE_GONE_S:.0f} s",
                "run it again: what has arrived is kept",
            )

    def lost(self, now: float) -> bool:
        """Whether a host that does not answer now has been silent for too long."""
        return now - self._answered > LOST_AFTER_S

    def restarted(self, last_words: str, now: float) -> None:
        """Counts a new start. Raises ExchangeError when nothing has come between too many of them."""
        self._heard_news = now
        self._restarts += 1
        if self._restarts > MOST_RESTARTS:
            raise ExchangeError(
                f"the agent on {self.member} was killed {self._restarts} times: "
                + (last_words[-500:] or "it left no message"),
                "see whether the host runs out of memory (dmesg)",
            )

    def to_show(self, now: float) -> bool:
        """Whether it is time for a line of progress again."""
        if now - self._shown < SHOW_EVERY_S:
            return False
        self._shown = now
        return True

    def _note_progress(self, status: Mapping[str, Any], now: float) -> None:
        done = number(status.get("bytes_done")) + number(status.get("received"))
        if done != self._progress:
            if done > self._progress:
                self._restarts = 0
            self._moved, self._progress = now, done
        elif status and now - self._moved > NO_PROGRESS_S:
            raise ExchangeError(*self._stuck(status))

    def _stuck(self, status: Mapping[str, Any]) -> tuple[str, str]:
        unreached = status.get("unreached")
        reasons = unreached.items() if isinstance(unreached, Mapping) else ()
        told = "; ".join(f"{name}: {why or 'no connection'}" for name, why in sorted(reasons))
        return (
            f"nothing of {self.what} has come to {self.member} for {NO_PROGRESS_S:.0f} s"
            + (f". Not connected: {told[:1000]}" if told else ""),
            f"see that port {self.port} (mindie_weights_port) is open between the hosts, and that those that have "
            f"{self.what} are up; what has arrived is kept, run it again",
        )
