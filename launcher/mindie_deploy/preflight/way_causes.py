"""From connections between hosts that failed to what they have in common: few statements for many pairs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Way = tuple[str, str]  # the host that asks, the host that is asked
Kind = Literal["everything", "unreached", "reaches-nobody", "pair"]


@dataclass(frozen=True)
class Cause:
    """What failed ways have in common.

    everything: all that was tried, in more than one direction. unreached: whoever asks the host gets nothing.
    reaches-nobody: whomever the host asks, it gets nothing. pair: one way, for which the host that asks is named.
    `hosts` are the hosts concerned, `ways` those that this explains.
    """

    kind: Kind
    hosts: tuple[str, ...]
    ways: tuple[Way, ...]

    def blamed(self) -> Iterator[tuple[Way, str]]:
        """Yields each way with the one host that a statement about it names."""
        for way in self.ways:
            yield way, way[1] if self.kind == "everything" else self.hosts[0]


def way_causes(tried: Collection[Way], failed: Iterable[Way]) -> list[Cause]:
    """Returns the causes, with every failed way in exactly one. `failed` are some of `tried`.

    Where hosts that nobody reaches explain everything, or else hosts that reach nobody, only these are named: the
    fewer of the two. Otherwise the host that explains most comes first.
    """
    left = dict.fromkeys(failed)
    if not left:
        return []
    if len(left) == len(tried) and len({way[0] for way in tried}) > 1 and len({way[1] for way in tried}) > 1:
        return [Cause("everything", tuple(dict.fromkeys(host for way in tried for host in way)), tuple(left))]
    unreached = _whole(tried, left, "unreached")
    mute = _whole(tried, left, "reaches-nobody")
    whole = [one for one in (unreached, mute) if set(left) == {way for cause in one for way in cause.ways}]
    if whole:
        return min(whole, key=len)
    found = []
    candidates = [*unreached, *mute]
    while candidates:
        best = max(candidates, key=lambda cause: len(cause.ways))
        found.append(best)
        for way in best.ways:
            del left[way]
        rest = (Cause(one.kind, one.hosts, tuple(way for way in one.ways if way in left)) for one in candidates)
        candidates = [one for one in rest if one.ways]
    return [*found, *(Cause("pair", (way[0],), (way,)) for way in left)]


def _whole(tried: Collection[Way], failed: Collection[Way], kind: Kind) -> list[Cause]:
    """Returns the hosts all of whose ways failed, those to them or those from them."""
    end = 1 if kind == "unreached" else 0
    by_host: dict[str, list[Way]] = {asks: [] for asks, _ in tried}  # in the order of those that ask: that of ranks
    for way in tried:
        by_host.setdefault(way[end], []).append(way)
    whole = {host: ways for host, ways in by_host.items() if ways and all(way in failed for way in ways)}
    return [Cause(kind, (host,), tuple(ways)) for host, ways in whole.items()]
