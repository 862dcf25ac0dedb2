"""What is measured: each case sets labs up and yields runs, of which one may fail without the others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from . import agents, payload, rsync
from .faults import Cut, Fault, Kill
from .lab import Lab, lab
from .outcome import Outcome

# Bytes/s of a link, so that all members together stay within what two cores can carry.
RATES = {2: 50e6, 4: 50e6, 8: 25e6, 16: 12.5e6}
SLOWER = 4
Run = Callable[[], Outcome]


@dataclass
class Wanted:
    """What the command line asked for."""

    work: Path
    members: list[int]
    size: int
    shape: str = "shards"
    methods: list[str] | None = None
    rate: float | None = None
    lanes: int = 1
    python: str = sys.executable

    def payload(self) -> payload.Payload:
        """The payload, made when it is not there."""
        return payload.make(self.work / "payloads", self.shape, self.size)

    def rates(self, members: int) -> list[float]:
        """The bytes/s of all links."""
        rate = self.rate or RATES.get(members, 200e6 / members)
        return [rate] * members

    def ours(self, made: Lab, what: str = "", faults: Sequence[Fault] = (), lanes: int | None = None) -> Run:
        """A run of the agents, with what is special about it."""
        lanes = lanes or self.lanes
        method = ", ".join(["agents", f"{lanes} lane{'s' * (lanes > 1)}", *([what] if what else [])])
        return partial(agents.run, made, method, faults, lanes=lanes, python=self.python)


def done(outcome: Outcome) -> Outcome:
    """A run that was needed by the others and is over."""
    return outcome


def exchange(wanted: Wanted) -> Generator[Run, None, None]:
    """All methods, in one network for each number of members."""
    for members in wanted.members:
        with lab(wanted.work, wanted.payload(), members, wanted.rates(members)) as made:
            floor = made.measure_floor()
            methods: dict[str, Run] = {
                "floor": partial(done, floor),
                "agents": wanted.ours(made),
                "rsync-parallel": partial(rsync.in_parallel, made),
                "rsync-sequence": partial(rsync.in_sequence, made),
            }
            yield from (methods[method] for method in wanted.methods or methods)


def slow(wanted: Wanted) -> Generator[Run, None, None]:
    """The last member's link is slower than those of all others."""
    for members in wanted.members:
        rates = wanted.rates(members)
        rates[-1] /= SLOWER
        with lab(wanted.work, wanted.payload(), members, rates, faulty=members - 1) as made:
            made.measure_floor()
            yield wanted.ours(made, f"one link {SLOWER} x slower")


def kill(wanted: Wanted) -> Generator[Run, None, None]:
    """A receiver, then the source, is killed at 40 % and comes back after 2 s."""
    yield from _faults(wanted, Kill, "killed for 2 s")


def cut(wanted: Wanted) -> Generator[Run, None, None]:
    """The cable of a receiver, then of the source, is pulled at 40 % for 2 s."""
    yield from _faults(wanted, Cut, "cut off for 2 s")


def _faults(wanted: Wanted, kind: Callable[[int], Fault], text: str) -> Generator[Run, None, None]:
    for members in wanted.members:
        for role, member in (("receiver", members - 1), ("source", 0)):
            with lab(wanted.work, wanted.payload(), members, wanted.rates(members), faulty=member) as made:
                made.measure_floor()
                yield wanted.ours(made, f"{role} {text}", [kind(member)])


def unshaped(wanted: Wanted) -> Generator[Run, None, None]:
    """Two members without a limit: what a byte costs. On two cores, source and receiver have one each."""
    with lab(wanted.work, wanted.payload(), 2) as made:
        floor = made.measure_floor()
        yield partial(done, floor)
        for lanes in (1, 2):
            yield wanted.ours(made, lanes=lanes)
        yield partial(rsync.in_parallel, made)


CASES: dict[str, Callable[[Wanted], Generator[Run, None, None]]] = {
    "exchange": exchange,
    "slow": slow,
    "kill": kill,
    "cut": cut,
    "unshaped": unshaped,
}
