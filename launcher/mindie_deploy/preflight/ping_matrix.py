"""Who reached whom: the pings of all hosts as one matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


def reaches_peers(pairs: Iterable[Pair], place: Place) -> bool | None:
    """Tells whether the pings from and to an NPU arrive: all of them, or none (False); else None."""
    lost = {pair.lost_all for pair in pairs if place in (pair.source, pair.target) and pair.is_known}
    return not lost.pop() if len(lost) == 1 else None


def _place(value: object) -> Place:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f"not a host and an NPU: {str(value)[:80]}")
    return str(value[0]), int(value[1])


def _count(value: object) -> int | None:
    return None if value is None else int(str(value))
