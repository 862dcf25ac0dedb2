"""What of each host others can ask in the second round trip: the addresses of its NPUs, and TCP ports."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from mindie_deploy.cluster.image_archive import host_of
from mindie_deploy.cluster.names import DEPLOYMENT_LABEL
from mindie_deploy.hosts.facts import HccnDevice, HostFacts, Unknown, WeightsFacts
from mindie_deploy.hosts.hccl_ports import hccl_ports
from mindie_deploy.hosts.weights_listing import is_complete

if TYPE_CHECKING:
    from mindie_deploy.cluster.hosts import Host
    from mindie_deploy.cluster.settings import Settings

HCCL = "HCCL"  # in the place of a setting: its ports are those of hccl_ports
LOCKED = "not tried: a run holds the lock of the deployment (mindie-deploy lock status names it)"


def targets(hosts: Sequence[Host], facts: Mapping[str, HostFacts], settings: Settings) -> dict[str, dict[str, object]]:
    """Returns by host its `address`, the addresses of its `npus`, and the `ports` to try, ready for JSON.

    `facts` are those of the hosts that answered; others are left out, and with fewer than two there is nothing to ask.
    A port is `ours` where our running deployment listens there already; elsewhere a listener has to be made. Where
    another run may be about to start the deployment nothing is tried, and `not_tried` has the ports with the reason.
    """
    there = [host for host in hosts if host.name in facts]
    if len(there) < 2 or (settings.check_pings == "off" and not settings.check_ports):
        return {}
    npus = {} if settings.check_pings == "off" else _npus(there, facts, settings)
    ports = dict(_ports(there, facts, settings)) if settings.check_ports else {}
    if not any(npus.values()) and not any(ports.values()):
        return {}
    locked = {host.name for host in there if _is_locked(facts[host.name])}
    return {
        host.name: {
            "address": host.address,
            "npus": npus.get(host.name, {}),
            "ports": [] if host.name in locked else ports.get(host.name, []),
            "not_tried": {str(one["port"]): LOCKED for one in ports.get(host.name, []) if host.name in locked},
        }
        for host in there
    }


def _npus(hosts: Sequence[Host], facts: Mapping[str, HostFacts], settings: Settings) -> dict[str, dict[str, str]]:
    """Returns the addresses by host and NPU. One that two NPUs have is left out: who would answer is not known."""
    found = {
        host.name: {npu: _address(facts[host.name].hccn.get(npu)) for npu in range(settings.npus_per_host)}
        for host in hosts
    }
    held = Counter(address for npus in found.values() for address in npus.values() if address)
    return {
        name: {str(npu): address for npu, address in npus.items() if address and held[address] == 1}
        for name, npus in found.items()
    }


def _address(device: HccnDevice | None) -> str | None:
    """Returns the address of an NPU that can ping and be pinged, or None."""
    if device is None or device.link_up is not True or not isinstance(device.address, str):
        return None
    try:
        address = ipaddress.ip_address(device.address.strip())
    except ValueError:
        return None
    return None if address.is_unspecified else str(address)


def _ports(
    hosts: Sequence[Host], facts: Mapping[str, HostFacts], settings: Settings
) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """Yields hosts with the ports to try there. One that something else holds is left to the check of free ports."""
    for host in hosts:
        listening = facts[host.name].listening
        if isinstance(listening, Unknown):
            continue
        ours = _runs(facts[host.name], settings)
        # Where another check listens, ours either finds the port free by then or says that it could not have it.
        taken = {one.port for one in listening if not one.by_check and _takes(one.address, host.address)}
        tried: list[dict[str, object]] = []
        wanted = _wanted(host, hosts, facts, settings)
        for setting, port in wanted.items():
            # Where our daemon runs, its ports are its own: one that is still loading must not find them taken by us.
            answers = ours and setting != "mindie_weights_port"
            if answers == (port in taken):
                tried.append({"setting": setting, "port": port, "ours": answers})
        hccl = None if ours else _hccl_port(settings, {*taken, *wanted.values()})
        if hccl is not None:
            tried.append({"setting": HCCL, "port": hccl, "ours": False})
        yield host.name, tried


def _hccl_port(settings: Settings, used: Collection[int]) -> int | None:
    """Returns the first port of HCCL's that is free, for a firewall tells them not apart.

    Never one on which HCCL itself listens: it expects ranks there, and nobody else.
    """
    hccl = hccl_ports(settings)
    return next((port for port in hccl.ports if port not in used), None) if hccl else None


def _wanted(host: Host, hosts: Sequence[Host], facts: Mapping[str, HostFacts], settings: Settings) -> dict[str, int]:
    """Returns the ports of a host that others will connect to, by setting; those of HCCL are apart."""
    wanted = {}
    if host.is_leader:
        wanted["mindie_multi_nodes_infer_port"] = settings.multi_nodes_infer_port
        if settings.backend_type == "torch" or settings.pipeline_parallel_size > 1:
            wanted["mindie_master_port"] = settings.master_port
        wanted["mindie_port"] = settings.port
    # All members of an exchange call one another: for the weights all hosts, for the image some.
    weights = settings.weights_source and any(not _has_weights(facts[other.name]) for other in hosts)
    if weights or exchanges_image(host.name, facts, settings):
        wanted["mindie_weights_port"] = settings.weights_port
    return wanted


def exchanges_image(name: str, facts: Mapping[str, HostFacts], settings: Settings) -> bool:
    """Tells whether a host takes part in the exchange of the image's archive: it lacks the image, or gives the archive
    to those that lack it."""
    lacking = [one for one, found in facts.items() if found.image is None]
    archive = settings.image_archive
    return bool(archive) and (name in lacking or (bool(lacking) and name == host_of(archive)))


def _takes(listener: str, address: str) -> bool:
    """Tells whether a listener at one address hears connections to another, or hinders us to listen there."""
    bound = ipaddress.ip_address(listener)
    if isinstance(bound, ipaddress.IPv6Address) and bound.ipv4_mapped is not None:
        bound = bound.ipv4_mapped
    return bound.is_unspecified or bound == ipaddress.ip_address(address)


def _runs(host: HostFacts, settings: Settings) -> bool:
    if isinstance(host.engine, Unknown):
        return False
    return any(
        one.running and one.labels.get(DEPLOYMENT_LABEL) == settings.deployment for one in host.engine.containers
    )


def _is_locked(host: HostFacts) -> bool:
    lock = host.surroundings.lock
    return not isinstance(lock, Unknown) and lock.exists


def _has_weights(host: HostFacts) -> bool:
    return isinstance(host.weights, WeightsFacts) and is_complete(host.weights)
