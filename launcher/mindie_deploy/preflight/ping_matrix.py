"""Who reached whom: the pings of all hosts as one matrix, what explains the failed ones, and the matrix drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from mindie_deploy.hosts.facts import HostFacts, ReachFacts, Unknown

Place = tuple[str, int]  # host and NPU


@dataclass(frozen=True)
class Pair:
    """One ping from one NPU to another: packets sent and received, None where it gave no answer (`reason` says why)."""

    source: Place
    target: Place
    address: str
    sent: int | None
    received: int | None
    reason: str = ""

    @property
    def lost_all(self) -> bool:
        return self.received == 0

    @property
    def lost_some(self) -> bool:
        return self.sent is not None and self.received is not None and 0 < self.received < self.sent

    @property
    def is_known(self) -> bool:
        return self.received is not None

    def to_dict(self) -> dict[str, object]:
        """Returns the JSON form, as docs/check-report.md has it."""
        return {
            "from": list(self.source),
            "to": list(self.target),
            "address": self.address,
            "sent": self.sent,
            "received": self.received,
            "reason": self.reason,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> Pair:
        """Reads to_dict's form. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            _place(value["from"]),
            _place(value["to"]),
            str(value["address"]),
            _count(value["sent"]),
            _count(value["received"]),
            str(value["reason"]),
        )


@dataclass(frozen=True)
class Cause:
    """What failed pings have in common.

    `kind` is everything, host, rail, npu or pair. `places` are hosts, each with an NPU or with None where the host is
    meant; `pairs` are the pings that it explains.
    """

    kind: str
    places: tuple[tuple[str, int | None], ...]
    pairs: tuple[Pair, ...]


def pairs_of(facts: Mapping[str, object]) -> tuple[Pair, ...]:
    """Returns all pings of all hosts, in their order."""
    found = []
    for name, host in facts.items():
        if isinstance(host, HostFacts) and isinstance(host.reach, ReachFacts):
            for one in host.reach.pings:
                source, target = (name, one.npu), (one.peer, one.peer_npu)
                if isinstance(one.packets, Unknown):
                    found.append(Pair(source, target, one.address, None, None, one.packets.reason))
                else:
                    found.append(Pair(source, target, one.address, *one.packets))
    return tuple(found)


def causes(pairs: Iterable[Pair], is_bad: Callable[[Pair], bool]) -> Iterator[Cause]:
    """Yields what explains the bad pings, the widest first: all of them, a host, a rail, an NPU, a single pair.

    Something explains its pings when there are at least two and all of them are bad. With two hosts nobody can tell
    which of the two it is: then the pairs are named from both sides.
    """
    known = [pair for pair in pairs if pair.is_known]
    bad = {pair for pair in known if is_bad(pair)}
    hosts = tuple(dict.fromkeys(place[0] for pair in known for place in (pair.source, pair.target)))
    if len(bad) == len(known) > 1:
        yield Cause("everything", tuple((host, None) for host in hosts), tuple(known))
        return
    explained: set[Pair] = set()
    for kind, places, touched in _candidates(known, hosts):
        mine = [pair for pair in touched if pair not in explained]
        if len(mine) > 1 and bad.issuperset(mine):
            yield Cause(kind, places, tuple(mine))
            explained |= set(mine)
    for pair in known:
        if pair in bad - explained:
            yield Cause("pair", (pair.source,), (pair,))


def _candidates(
    known: list[Pair], hosts: tuple[str, ...]
) -> Iterator[tuple[str, tuple[tuple[str, int | None], ...], list[Pair]]]:
    """Yields what pings can have in common, with these pings."""
    for host in hosts if len(hosts) > 2 else ():
        yield "host", ((host, None),), [pair for pair in known if host in (pair.source[0], pair.target[0])]
    for rail in sorted({pair.source[1] for pair in known if pair.source[1] == pair.target[1]}):
        mine = [pair for pair in known if pair.source[1] == pair.target[1] == rail]
        yield "rail", tuple((host, rail) for host in hosts), mine
    for place in sorted({pair.source for pair in known}, key=lambda one: (one[1], one[0])) if len(hosts) > 2 else ():
        yield "npu", (place,), [pair for pair in known if place in (pair.source, pair.target)]


def grid_lines(pairs: Iterable[Pair]) -> Iterator[str]:
    """Yields the matrix of every rail that has a failed ping: a row for each source host, a column for each target.

    A cell is "ok", the share of lost packets, "?" where there is no answer, or "-" where nothing was asked.
    """
    found = tuple(pairs)
    hosts = list(dict.fromkeys(place[0] for pair in found for place in (pair.source, pair.target)))
    cells = {(pair.source, pair.target): cell_text(pair) for pair in found}
    for npu, peer_npu in sorted({(pair.source[1], pair.target[1]) for pair in found if cell_text(pair) != "ok"}):
        title = f"NPU {npu}" if npu == peer_npu else f"NPU {npu} to NPU {peer_npu}"
        first = max(len(title), *map(len, hosts))
        yield f"{title.ljust(first)}  {'  '.join(host.rjust(5) for host in hosts)}"
        for host in hosts:
            row = [cells.get(((host, npu), (other, peer_npu)), "-").rjust(max(5, len(other))) for other in hosts]
            yield f"{host.ljust(first)}  {'  '.join(row)}"


def cell_text(pair: Pair) -> str:
    """Returns how a ping went, in a few letters."""
    if pair.sent is None or pair.received is None:
        return "?"
    return "ok" if pair.received == pair.sent else f"{100 * (pair.sent - pair.received) / max(pair.sent, 1):.0f} %"


def _place(value: object) -> Place:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f"not a host and an NPU: {str(value)[:80]}")
    return str(value[0]), int(value[1])


def _count(value: object) -> int | None:
    return None if value is None else int(str(value))
