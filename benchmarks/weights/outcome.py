"""What a run cost, and the table of all runs."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path

GIB = 1 << 30
MIB = 1 << 20
HEAD = [
    "method",
    "N",
    "Mbit/s",
    "payload",
    "B MB/s",
    "start-up s",
    "ratio: others / faulty",
    "source sent / S, of it TCP again",
    "most received / S",
    "CPU s per GiB: source / mean receiver",
    "load before",
]


@dataclass
class Outcome:
    """One run. Times are seconds since the first program of the run was started."""

    method: str
    members: int
    size: int
    shape: str = "shards"
    rate: float | None = None  # bytes/s of the usual link; None: unshaped
    floor: float = 0.0  # bytes/s of one plain stream through it
    faulty: int | None = None  # the member that a fault hits
    complete: dict[int, float] = field(default_factory=dict)
    started: float = 0.0  # when the source had sent as much as greetings cannot explain
    ended: float = 0.0  # when the last agent had heard that all are complete, and was gone
    sent: int = 0
    sent_again: int = 0  # by TCP, of what the source sent
    received: dict[int, int] = field(default_factory=dict)
    cpu_s: dict[int, float] = field(default_factory=dict)
    load: float = 0.0  # of the machine, before the run

    def ratio(self, faulty: bool = False) -> float | None:
        """How many times the floor's time it took until the last was complete, of the faulty or of the others."""
        seconds = [value for member, value in self.complete.items() if (member == self.faulty) == faulty]
        return max(seconds) * self.floor / self.size if seconds and self.floor else None

    def cells(self) -> list[str]:
        """The run as a line of the table."""
        receivers = [value for member, value in self.cpu_s.items() if member]
        gib = self.size / GIB
        cpu = [self.cpu_s.get(0, 0.0), sum(receivers) / len(receivers) if receivers else 0.0]
        ratios = [f"{value:.3f}" for value in (self.ratio(), self.ratio(faulty=True)) if value is not None]
        return [
            self.method,
            str(self.members),
            f"{self.rate * 8 / 1e6:.0f}" if self.rate else "unshaped",
            f"{self.size / MIB:.0f} MiB {self.shape}",
            f"{self.floor / 1e6:.1f}",
            f"{self.started:.1f}" if self.started else "",
            " / ".join(ratios),
            f"{self.sent / self.size:.3f}, {self.sent_again / self.size:.3f}",
            f"{max(self.received.values(), default=0) / self.size:.3f}",
            " / ".join(f"{value / gib:.1f}" for value in cpu),
            f"{self.load:.1f}",
        ]


def table(outcomes: list[Outcome]) -> str:
    """All runs as a Markdown table."""
    rows = [HEAD, ["---"] * len(HEAD), *(outcome.cells() for outcome in outcomes)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def machine() -> str:
    """The machine that figures were taken on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    model = next(named, platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    python = platform.python_version()
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, kernel {platform.release()}, Python {python}"


def needs(outcomes: list[Outcome]) -> list[str]:
    """What unshaped runs say about fast links: cores for each GB/s, and what 100 and 200 Gbit/s would need of them."""
    lines = []
    for outcome in outcomes:
        if outcome.rate is not None or not outcome.complete:
            continue
        speed = outcome.size / max(outcome.complete.values()) / 1e9
        cores = [outcome.cpu_s.get(member, 0.0) / (outcome.size / 1e9) for member in (0, 1)]
        links = ", ".join(
            f"{gbits} Gbit/s: {gbits / 8 * cores[0]:.0f} and {gbits / 8 * cores[1]:.0f}" for gbits in (25, 100, 200)
        )
        lines.append(
            f"{outcome.method}: {speed:.2f} GB/s; cores for each GB/s: source {cores[0]:.2f}, receiver {cores[1]:.2f}. "
            f"By extrapolation {links} cores"
        )
    return lines
