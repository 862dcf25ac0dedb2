"""What all methods share: a network, a payload, directories of the members, the floor, and the check afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .network import LabError, Network, network
from .outcome import Outcome
from .payload import Payload, read, wrong
from .process import Process

STREAM = Path(__file__).with_name("stream.py")
STREAM_PORT = 11100
TIMES = 30  # a run that takes longer than so many times the floor hangs
PATIENCE_S = 60.0
BLOCK = 1 << 20


@dataclass
class Lab:
    """A network with a payload on m0. `rates` are the bytes/s of each member's link, empty for an unshaped network."""

    net: Network
    payload: Payload
    work: Path
    rates: Sequence[float] = ()
    faulty: int | None = None
    floor: float = 0.0
    processes: list[Process] = field(default_factory=list)

    @property
    def receivers(self) -> range:
        """All members but the source."""
        return range(1, self.net.members)

    @property
    def timeout(self) -> float:
        """Seconds after which a run is given up."""
        return PATIENCE_S + TIMES * self.payload.size / self.floor

    def home(self, member: int) -> Path:
        """A member's own directory."""
        return self.work / f"m{member}"

    def start(self, member: int, words: Sequence[str], standard_input: bytes | None = None) -> Process:
        """Starts a program of a member; the lab kills it at its end if need be."""
        started = Process(self.net, member, words, self.home(member) / "log", standard_input)
        self.processes.append(started)
        return started

    def clear(self) -> None:
        """Empty directories for the next run; what the last one wrote must not compete with it for the disk."""
        for member in range(self.net.members):
            shutil.rmtree(self.home(member), ignore_errors=True)
            self.home(member).mkdir(parents=True)
        warm(self.work / "warm", self.payload.size * len(self.receivers))
        read(self.payload)
        os.sync()

    def outcome(self, method: str) -> Outcome:
        """An outcome that knows what was set up."""
        return Outcome(
            method,
            self.net.members,
            self.payload.size,
            self.payload.shape,
            max(self.rates, default=None),
            self.floor,
            self.faulty,
            load=os.getloadavg()[0],
        )

    @contextlib.contextmanager
    def counted(self, outcome: Outcome) -> Iterator[None]:
        """Puts into the outcome what the links carried meanwhile, and the processor time of what was started."""
        before = [self.net.carried(member) for member in range(self.net.members)]
        again = self.net.sent_again(0)
        first = len(self.processes)
        try:
            yield
        finally:
            for process in self.processes[first:]:
                process.stop()
        after = [self.net.carried(member) for member in range(self.net.members)]
        outcome.sent = after[0][0] - before[0][0]
        outcome.sent_again = self.net.sent_again(0) - again
        outcome.received = {member: after[member][1] - before[member][1] for member in self.receivers}
        for process in self.processes[first:]:
            outcome.cpu_s[process.member] = outcome.cpu_s.get(process.member, 0.0) + process.cpu_s

    def prove(self, directory: str) -> None:
        """Reads what the receivers have in a directory of their own. Raises LabError when a file is not as it was."""
        for member in self.receivers:
            bad = wrong(self.payload, self.home(member) / directory)
            if bad:
                raise LabError(
                    f"m{member}: {len(bad)} of {len(self.payload.files)} files are missing or wrong in "
                    f"{self.home(member) / directory}, the first is {bad[0]}"
                )

    def measure_floor(self) -> Outcome:
        """B: one plain stream from m0 to m1. From now on `floor` is known."""
        outcome = self.outcome("one plain stream")
        self.clear()
        address = self.net.address(0)
        with self.counted(outcome):
            sender = self.start(
                0, [sys.executable, "-IS", str(STREAM), "send", address, str(STREAM_PORT), str(self.payload.directory)]
            )
            receiver = self.start(1, [sys.executable, "-IS", str(STREAM), "receive", address, str(STREAM_PORT)])
            slowest = min(self.rates, default=1e8)
            for process in (receiver, sender):
                process.wait(PATIENCE_S + TIMES * self.payload.size / slowest)
                process.succeeded()
        size, seconds = receiver.log.read_text().split()
        if int(size) != self.payload.size:
            raise LabError(f"the plain stream carried {size} of {self.payload.size} bytes")
        self.floor = outcome.floor = self.payload.size / float(seconds)
        outcome.complete = {1: float(seconds)}
        return outcome


def warm(path: Path, size: int) -> None:
    """Touches as much of the page cache as the copies will need, and gives it back.

    A virtual machine gets memory from its host when it first writes to it, which costs two seconds a GiB; that would
    be counted as the cost of the method that happens to run first.
    """
    block = bytes(BLOCK)
    with path.open("wb") as out:
        for _ in range(size // BLOCK + 1):
            out.write(block)
    path.unlink()


@contextlib.contextmanager
def lab(
    work: Path, payload: Payload, members: int, rates: Sequence[float] = (), faulty: int | None = None
) -> Iterator[Lab]:
    """A lab whose namespaces, processes and directories are gone afterwards. Raises LabError."""
    with network(members, rates) as net:
        made = Lab(net, payload, work / f"run-{os.getpid()}-{time.monotonic_ns()}", rates, faulty)
        try:
            yield made
        finally:
            for process in made.processes:
                process.stop()
            shutil.rmtree(made.work, ignore_errors=True)
