"""Clusters whose hosts pinged one another and tried their ports: what is not named in a test went well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mindie_deploy.hosts.facts import HostFacts, PeerPing, PortProbe, ReachFacts, Reading, Unknown

from .builders import cluster, healthy_host, hosts_of

Place = tuple[int, int]  # number of a host from 1, and NPU
Packets = Reading[tuple[int, int]]
LOST, LOSSY, WELL = (3, 0), (3, 2), (3, 3)


def pinging(
    count: int,
    packets: Callable[[Place, Place], Packets] = lambda source, target: WELL,
    *,
    full: bool = False,
    **hosts: dict[str, Any],
) -> dict[str, Any]:
    """A cluster in which all NPUs of a rail, or all, ping one another; `host2={"hccn": …}` changes a host."""
    names = [f"host{number}" for number in range(1, count + 1)]
    made = {name: healthy_host(name, index, **hosts.get(name, {})) for index, name in enumerate(names)}
    return {
        name: replace(host, reach=ReachFacts(tuple(_pings(index + 1, made, packets, full=full)), ()))
        for index, (name, host) in enumerate(made.items())
    }


def _pings(number: int, hosts: dict[str, HostFacts], packets: Callable[[Place, Place], Packets], *, full: bool) -> Any:
    for npu in range(8):
        for peer_number, (peer, facts) in enumerate(hosts.items(), 1):
            for peer_npu in range(8) if peer_number != number else ():
                if full or npu == peer_npu:
                    address = facts.hccn[peer_npu].address
                    assert isinstance(address, str)
                    yield PeerPing(npu, peer, peer_npu, address, packets((number, npu), (peer_number, peer_npu)))


def trying(
    count: int,
    outcome: Callable[[int, int, int], Reading[Any]] = lambda source, target, port: "answered",
    *,
    not_listening: dict[int, str] | None = None,
    ports: tuple[tuple[int, str], ...] = ((1120, "mindie_multi_nodes_infer_port"), (1025, "mindie_port")),
    lost: tuple[int, ...] = (),
) -> dict[str, Any]:
    """A cluster whose hosts try the leader's ports. Hosts of `lost` gave no answer in the second round trip."""
    facts = cluster(count)
    leader = hosts_of(facts)[0]
    for number, (name, host) in enumerate(facts.items(), 1):
        assert isinstance(host, HostFacts)
        probes = tuple(
            _probe(leader.name, leader.address, port, setting, outcome(number, 1, port))
            for port, setting in ports
            if number != 1
        )
        reach = ReachFacts((), probes, (not_listening or {}) if number == 1 else {})
        facts[name] = replace(host, reach=Unknown("unreachable") if number in lost else reach)
    return facts


def _probe(peer: str, address: str, port: int, setting: str, outcome: Reading[Any]) -> PortProbe:
    says = {"silent": "no answer within 5 s", "no-route": "No route to host", "stranger": "it hung up"}
    return PortProbe(peer, address, port, setting, outcome, says.get(outcome, "") if isinstance(outcome, str) else "")


def trying_hccl(
    count: int,
    outcome: Callable[[int, int], Reading[Any]],
    *,
    leader: Callable[[int], Reading[Any]] = lambda source: "answered",
    not_listening: dict[int, dict[int, str]] | None = None,
) -> dict[str, Any]:
    """A cluster whose hosts try HCCL's port of every other, and the leader's own ports; by numbers of the hosts."""
    facts = trying(count, lambda source, target, port: leader(source))
    hosts = hosts_of(facts)
    for number, (name, host) in enumerate(facts.items(), 1):
        probes = tuple(
            _probe(peer.name, peer.address, 60000, "HCCL", outcome(number, peer.rank + 1))
            for peer in hosts
            if peer.name != name
        )
        reach = ReachFacts((), (*host.reach.ports, *probes), (not_listening or {}).get(number, {}))
        facts[name] = replace(host, reach=reach)
    return facts
