"""Who is the odd one out: values that should be equal, split by majority."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from mindie_deploy.hosts.facts import HostFacts
from mindie_deploy.preflight.finding import Problem, places_text

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value", bound=Hashable)


@dataclass(frozen=True)
class Split(Generic[Key, Value]):
    """Values by key, split. `majority` is None in a tie, and then every key is odd: both sides are named."""

    majority: Value | None
    tie: bool
    odd: Mapping[Key, Value]
    groups: Mapping[Value, tuple[Key, ...]]  # largest first


def split(values: Mapping[Key, Value]) -> Split[Key, Value]:
    """Returns the odd ones out. The majority is the largest group, unless two groups are equally large."""
    groups: dict[Value, list[Key]] = {}
    for key, value in values.items():
        groups.setdefault(value, []).append(key)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    frozen = {value: tuple(keys) for value, keys in ordered}
    if len(ordered) < 2:
        return Split(ordered[0][0] if ordered else None, False, {}, frozen)
    tie = len(ordered[0][1]) == len(ordered[1][1])
    majority = None if tie else ordered[0][0]
    odd = {key: value for key, value in values.items() if tie or value != majority}
    return Split(majority, tie, odd, frozen)


def odd_hosts(values: Mapping[str, str], what: str) -> Iterable[Problem]:
    """Yields a problem for every host whose value differs from that of most hosts."""
    found = split(values)
    for host, value in found.odd.items():
        rest = _rest(found.groups, value, lambda hosts: places_text(dict.fromkeys(hosts, ())))
        yield Problem(host, f"{what} {value}; {rest}")


def odd_npus(values: Mapping[tuple[str, int], str], what: str) -> Iterable[Problem]:
    """Yields a problem for every NPU whose value differs from that of most NPUs of the cluster."""
    found = split(values)
    for (host, npu), value in found.odd.items():
        rest = _rest(found.groups, value, _npus_text)
        yield Problem(host, f"{what} {value}; {rest}", npu)


def values_of(hosts: Mapping[str, HostFacts], value: Callable[[HostFacts], str | None]) -> dict[str, str]:
    """Returns a value of every host, without those that have none."""
    found = {name: value(facts) for name, facts in hosts.items()}
    return {name: text for name, text in found.items() if text is not None}


def _rest(groups: Mapping[Value, tuple[Key, ...]], value: Value, places: Callable[[tuple[Key, ...]], str]) -> str:
    others = [f"{other} on {places(keys)}" for other, keys in groups.items() if other != value]
    return "; ".join(others)


def _npus_text(keys: tuple[tuple[str, int], ...]) -> str:
    """Returns NPUs of several hosts, or only their number when they are more than a rack's line can hold."""
    hosts: dict[str, list[int]] = {}
    for host, npu in keys:
        hosts.setdefault(host, []).append(npu)
    return places_text(hosts) if len(hosts) <= 4 else f"{len(keys)} NPUs of {len(hosts)} hosts"
