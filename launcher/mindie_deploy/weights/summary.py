"""What an exchange achieved: how much came how fast, and how near that is to what links and disks could do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mindie_deploy.weights.plan import size_text
from mindie_deploy.weights.progress import duration_text, number, slowest_text, straggler

# In a shorter exchange the best second says nothing about a link.
SHORTEST_JUDGED_S = 10.0
# Nominal rates that an expectation is told for while nothing was measured, in bytes a second.
NOMINAL = {"10 Gbit/s": 1.2e9, "25 Gbit/s": 3.0e9, "100 Gbit/s": 12e9}


@dataclass(frozen=True)
class Summary:
    """Sizes in bytes, times in seconds, `rate` in bytes a second for each host.

    `brought` is what came to all hosts together, `sent_again` what was sent more than once. `ratio`: the time taken
    over the time that the slowest part would have needed at its own best second; None when the exchange was too short
    to tell. `slowest` is that part. `behind` is the host that took clearly longer for its bytes than the others, ""
    where there is none, and `behind_rate` its bytes a second.
    """

    hosts: int
    brought: int
    sent_again: int
    seconds: float
    rate: int
    ratio: float | None
    slowest: str
    behind: str = ""
    behind_rate: int = 0

    def to_dict(self) -> dict[str, object]:
        return asdict(self)

    @property
    def text(self) -> str:
        """One line for people."""
        told = (
            f"{size_text(self.brought)} to {self.hosts} host{'s' if self.hosts != 1 else ''} in "
            f"{duration_text(self.seconds)}, {size_text(self.rate)}/s to each"
        )
        if self.sent_again:
            told += f"; {size_text(self.sent_again)} came twice"
        if self.ratio is not None:
            told += f"; {self.ratio:.2f} x the time that {self.slowest} needs at best"
        if self.behind:
            told += f"; {slowest_text(self.behind, self.behind_rate)}"
        return told


def summarise(statuses: Mapping[str, Mapping[str, Any]]) -> Summary | None:
    """Returns the summary of an exchange from what its members said last, or None when nothing came to anybody.

    `statuses` come from hosts: what is no number counts as 0.
    """
    needed = {name: number(s.get("bytes")) - number(s.get("bytes_before")) for name, s in statuses.items()}
    receivers = [name for name, size in needed.items() if size > 0]
    if not receivers:
        return None
    seconds = max(_seconds(statuses[name]) for name in receivers)
    best: dict[str, float] = {}
    for name in receivers:
        peak = number(statuses[name].get("peak_in"))
        if peak:
            best[f"what comes to {name}"] = needed[name] / peak
    for name, status in statuses.items():
        peak, sent = number(status.get("peak_out")), number(status.get("sent"))
        if peak and needed[name] <= 0:
            best[f"what {name} sends"] = sent / peak
    slowest = max(best, key=lambda part: best[part]) if best else ""
    judged = slowest and seconds >= SHORTEST_JUDGED_S and best[slowest] > 0
    # In a short one the looks at the hosts last as long as their bytes; who needed little says nothing of its link.
    most = max(needed[name] for name in receivers)
    times = {name: _seconds(statuses[name]) for name in receivers if 2 * needed[name] >= most}
    rates = {name: needed[name] / time for name, time in times.items() if time}
    behind = straggler(rates) if seconds >= SHORTEST_JUDGED_S else ""
    return Summary(
        hosts=len(receivers),
        brought=sum(needed[name] for name in receivers),
        sent_again=sum(number(status.get("again")) for status in statuses.values()),
        seconds=round(seconds, 1),
        rate=int(most / max(seconds, 0.001)),
        ratio=round(max(1.0, seconds / best[slowest]), 3) if judged else None,
        slowest=slowest,
        behind=behind,
        behind_rate=int(rates[behind]) if behind else 0,
    )


def _seconds(status: Mapping[str, Any]) -> float:
    value = status.get("elapsed_s")
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else 0.0


def expectation(size: int, rate: int | None) -> str:
    """Returns how long it takes to bring `size` bytes to all hosts: they come to all at once.

    `rate`: bytes a second that an earlier exchange of these hosts reached, None when there was none.
    """
    if rate:
        return f"about {duration_text(size / rate)} at the {size_text(rate)}/s of the last time"
    told = ", ".join(f"{duration_text(size / speed)} at {name}" for name, speed in NOMINAL.items())
    return f"not measured here yet; {told}, if the disks keep up"
