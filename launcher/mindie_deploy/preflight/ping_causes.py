"""What failed pings have in common, so that one cause is one finding."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from mindie_deploy.preflight.ping_matrix import Pair

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Cause:
    """What failed pings have in common.

    `kind` is everything, host, between (two hosts), across (different rails), rail, npu or pair. `places` are hosts,
    each with an NPU or with None where the host is meant; `pairs` are the pings that it explains.
    """

    kind: str
    places: tuple[tuple[str, int | None], ...]
    pairs: tuple[Pair, ...]


def causes(pairs: Iterable[Pair], is_bad: Callable[[Pair], bool]) -> Iterator[Cause]:
    """Yields what explains the bad pings, the widest first: all of them, a host, a rail, an NPU, a single pair.

    Something explains its pings when there are at least two and all of them are bad. Where an NPU has pings with one
    other alone, nobody can tell which of the two it is: then the rail is named on both sides.
    """
    known = [pair for pair in pairs if pair.is_known]
    bad = {pair for pair in known if is_bad(pair)}
    if len(bad) == len(known) > 1:
        yield Cause("everything", _hosts(known), tuple(known))
        return
    left = set(bad)
    for kind, places, mine in _candidates(known):
        if len(mine) > 1 and bad.issuperset(mine) and not left.isdisjoint(mine):
            yield Cause(kind, places, tuple(mine))
            left -= set(mine)
    for pair in known:
        if pair in left:
            yield Cause("pair", (pair.source,), (pair,))


Candidate = tuple[str, tuple[tuple[str, int | None], ...], list[Pair]]


def _candidates(known: list[Pair]) -> Iterator[Candidate]:
    """Yields what pings can have in common, with these pings."""
    hosts = _group(known, lambda pair: (pair.source[0], pair.target[0]))
    if len(hosts) > 2:
        for host, mine in hosts.items():
            yield "host", ((host, None),), mine
        for (one, other), mine in _group(known, lambda pair: [tuple(sorted((pair.source[0], pair.target[0])))]).items():
            yield "between", ((one, None), (other, None)), mine
    across = [pair for pair in known if pair.source[1] != pair.target[1]]
    if len(across) < len(known):
        yield "across", _hosts(across), across
    for rail, mine in sorted(_group(known, lambda pair: (pair.source[1], pair.target[1])).items()):
        yield "rail", tuple((host, rail) for host in dict.fromkeys(_hosts_with(rail, mine))), mine
    for place, mine in _group(known, lambda pair: (pair.source, pair.target)).items():
        for some in (
            mine,
            [pair for pair in mine if pair.source == place],
            [pair for pair in mine if pair.target == place],
        ):
            if len({pair.source for pair in some} | {pair.target for pair in some}) > 2:
                yield "npu", (place,), some


def _group(pairs: Iterable[Pair], keys: Callable[[Pair], Iterable[Key]]) -> dict[Key, list[Pair]]:
    """Returns the pings by each of their keys."""
    groups: dict[Key, list[Pair]] = {}
    for pair in pairs:
        for key in dict.fromkeys(keys(pair)):
            groups.setdefault(key, []).append(pair)
    return groups


def _hosts(pairs: Iterable[Pair]) -> tuple[tuple[str, None], ...]:
    return tuple(dict.fromkeys((place[0], None) for pair in pairs for place in (pair.source, pair.target)))


def _hosts_with(npu: int, pairs: Iterable[Pair]) -> Iterator[str]:
    for pair in pairs:
        yield from (place[0] for place in (pair.source, pair.target) if place[1] == npu)
