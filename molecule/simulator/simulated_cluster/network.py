"""The hosts' network: a bridge with a /24 that nothing else on the machine uses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, ip_network

from simulated_cluster.commands import run
from simulated_cluster.engine import Engine
from simulated_cluster.errors import MachineError, SimulatorError
from simulated_cluster.names import LABEL, Names

CANDIDATES: tuple[IPv4Network, ...] = tuple(IPv4Network(f"172.31.{third}.0/24") for third in range(256))
# Two clusters that start at the same moment may choose the same subnet; the slower one then takes the next.
ATTEMPTS = 5


def networks_in_use(addresses_json: str, routes_json: str) -> list[IPv4Network]:
    """IPv4 networks of links and routes, from `ip -json -4 address` and `ip -json -4 route show table all`.

    The default route is no network in use.
    """
    found: list[IPv4Network] = []
    for link in json.loads(addresses_json or "[]"):
        for entry in link.get("addr_info", []):
            if entry.get("family") == "inet" and "local" in entry:
                found.append(IPv4Network(f"{entry['local']}/{entry.get('prefixlen', 32)}", strict=False))
    for route in json.loads(routes_json or "[]"):
        destination = str(route.get("dst", "default"))
        if destination == "default":
            continue
        network = ip_network(destination, strict=False)
        if isinstance(network, IPv4Network) and network.prefixlen > 0:
            found.append(network)
    return found


def first_free(candidates: Sequence[IPv4Network], used: Iterable[IPv4Network], start: int = 0) -> IPv4Network:
    """The first candidate from position `start` on (and round) that overlaps no network in use."""
    taken = list(used)
    for step in range(len(candidates)):
        candidate = candidates[(start + step) % len(candidates)]
        if not any(candidate.overlaps(network) for network in taken):
            return candidate
    raise MachineError(
        f"all networks from {candidates[0]} to {candidates[-1]} are in use on this machine.",
        "take down other simulated clusters, or remove a route that covers them",
    )


def existing(engine: Engine, names: Names) -> IPv4Network | None:
    """The network of this cluster, if it is there."""
    done = engine.docker("network", "inspect", names.network, check=False)
    if done.returncode != 0:
        return None
    for entry in json.loads(done.stdout)[0]["IPAM"]["Config"] or []:
        return IPv4Network(entry["Subnet"])
    return None


def ensure(engine: Engine, names: Names, wanted: IPv4Network | None) -> IPv4Network:
    """Make the network unless it is there. `wanted` is the subnet of an earlier time, taken again when it is free."""
    found = existing(engine, names)
    if found is not None:
        return found
    # Where each cluster begins to look differs, so that clusters started together seldom meet.
    start = int(names.key, 16) % len(CANDIDATES)
    refused: list[IPv4Network] = []
    for _ in range(ATTEMPTS):
        used = networks_in_use(
            run(["ip", "-json", "-4", "address", "show"]).stdout,
            run(["ip", "-json", "-4", "route", "show", "table", "all"]).stdout,
        )
        used += refused
        subnet = first_free(CANDIDATES, used, start)
        if wanted is not None and not any(wanted.overlaps(network) for network in used):
            subnet = wanted
        done = engine.docker(*creation(names, subnet), check=False)
        if done.returncode == 0:
            return subnet
        refused.append(subnet)
    raise SimulatorError(f"the network {names.network} cannot be made:\n{done.stderr.strip()}")


def creation(names: Names, subnet: IPv4Network) -> list[str]:
    """Arguments of docker that make the network. Without masquerading: the hosts reach nothing but one another and
    this machine, as in a data centre without internet access."""
    return [
        "network",
        "create",
        "--driver=bridge",
        f"--subnet={subnet}",
        f"--gateway={subnet[1]}",
        f"--opt=com.docker.network.bridge.name={names.bridge}",
        "--opt=com.docker.network.bridge.enable_ip_masquerade=false",
        f"--label={LABEL}={names.key}",
        names.network,
    ]


def remove(engine: Engine, names: Names) -> None:
    """Remove the network and its bridge, if they are there."""
    if existing(engine, names) is not None:
        engine.docker("network", "rm", names.network)
