"""What the second round trip asks, planned from the facts of the first: who pings whom, and which ports are tried.

Each NPU takes one ping at a time, NPUs and hosts work at once: the time is that of the peers of one NPU, not that of
all pings. An NPU without link or address is left out on both sides: its own finding says why.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from mindie_deploy.cluster.names import DEPLOYMENT_LABEL
from mindie_deploy.hosts.collection import specification
from mindie_deploy.hosts.facts import HccnDevice, HostFacts, Unknown, WeightsFacts
from mindie_deploy.hosts.items_npu import hccn_item

if TYPE_CHECKING:
    from mindie_deploy.cluster.hosts import Host
    from mindie_deploy.cluster.settings import Settings

PING_TIMEOUT_S = 15
CONNECT_TIMEOUT_S = 3
SECONDS_OF_A_PING = 6  # three packets take 2 to 3 s; lost ones longer
SLACK_S = 20
LONGEST_S = 1200

Question = dict[str, object]


def questions(
    hosts: Sequence[Host], facts: Mapping[str, HostFacts], settings: Settings, nonce: str
) -> dict[str, dict[str, object]]:
    """Returns by host what to do: `listen` (ports on its `address`), `asked` and `collect` for mindie_collect.

    `facts` are those of the hosts that answered; hosts without questions and without listeners are left out. `nonce`
    is the word that our listeners say, one for each run.
    """
    there = [host for host in hosts if host.name in facts]
    if len(there) < 2:
        return {}
    listeners = _listeners(there, facts, settings) if settings.check_ports else {}
    plan: dict[str, dict[str, object]] = {}
    for host in there:
        pings = list(_pings(host.name, there, facts, settings))
        probes = list(_probes(host.name, there, listeners, nonce))
        listen = [probe["port"] for probe in listeners.get(host.name, ()) if not probe["ours"]]
        if pings or probes or listen:
            plan[host.name] = {
                "address": host.address,
                "listen": listen,
                "asked": {"pings": pings, "ports": probes},
                "collect": _collect(pings, probes, settings),
            }
    longest = max((plan[name]["collect"]["limit"] for name in plan), default=0)  # type: ignore[index]
    return {name: {**one, "nonce": nonce, "lifetime": longest + SLACK_S} for name, one in plan.items()}


def _pings(name: str, hosts: Sequence[Host], facts: Mapping[str, HostFacts], settings: Settings) -> Iterator[Question]:
    if settings.check_pings == "off":
        return
    for npu in range(settings.npus_per_host):
        if _address(facts[name].hccn.get(npu)) is None:
            continue
        # Each begins with the host after itself: not all ask the same one at once.
        at = next(place for place, host in enumerate(hosts) if host.name == name)
        for host in (*hosts[at + 1 :], *hosts[:at]):
            peers = (npu,) if settings.check_pings == "rails" else range(settings.npus_per_host)
            for peer_npu in peers:
                address = _address(facts[host.name].hccn.get(peer_npu))
                if address is not None:
                    key = f"ping/{npu}/{host.name}/{peer_npu}"
                    yield {"key": key, "npu": npu, "peer": host.name, "peer_npu": peer_npu, "address": address}


def _address(device: HccnDevice | None) -> str | None:
    """Returns the address of an NPU that can ping and be pinged, or None."""
    if device is None or device.link_up is not True or not isinstance(device.address, str):
        return None
    try:
        address = ipaddress.ip_address(device.address.strip())
    except ValueError:
        return None
    return None if address.is_unspecified else str(address)


def _listeners(
    hosts: Sequence[Host], facts: Mapping[str, HostFacts], settings: Settings
) -> dict[str, list[dict[str, object]]]:
    """Returns the ports on which each host will be asked. `ours`: our running deployment answers there already."""
    wanted: dict[str, dict[str, int]] = {}
    leader = next((host for host in hosts if host.is_leader), None)
    if leader is not None:
        wanted[leader.name] = {"mindie_multi_nodes_infer_port": settings.multi_nodes_infer_port}
        if settings.backend_type == "torch" or settings.pipeline_parallel_size > 1:
            wanted[leader.name]["mindie_master_port"] = settings.master_port
    kind, _, rest = settings.weights_source.partition(":")
    source = rest.partition(":")[0] if kind == "host" else ""
    if source in facts and any(not _has_weights(facts[host.name]) for host in hosts):
        wanted.setdefault(source, {})["mindie_weights_port"] = settings.weights_port
    found: dict[str, list[dict[str, object]]] = {}
    for name, ports in wanted.items():
        listening = facts[name].listening
        if isinstance(listening, Unknown):
            continue
        taken = {listener.port for listener in listening}
        runs = _runs(facts[name], settings)
        found[name] = []
        for setting, port in ports.items():
            # Where our daemon runs, its ports are its own: one that is still loading must not find them taken by us.
            ours = runs and setting != "mindie_weights_port"
            if ours == (port in taken):
                found[name].append({"setting": setting, "port": port, "ours": ours})
    return found


def _runs(host: HostFacts, settings: Settings) -> bool:
    if isinstance(host.engine, Unknown):
        return False
    return any(
        one.running and one.labels.get(DEPLOYMENT_LABEL) == settings.deployment for one in host.engine.containers
    )


def _has_weights(host: HostFacts) -> bool:
    return isinstance(host.weights, WeightsFacts) and host.weights.exists and bool(host.weights.files)


def _probes(
    name: str, hosts: Sequence[Host], listeners: Mapping[str, list[dict[str, object]]], nonce: str
) -> Iterator[Question]:
    for host in hosts:
        for one in listeners.get(host.name, ()) if host.name != name else ():
            yield {
                "key": f"port/{host.name}/{one['port']}",
                "peer": host.name,
                "address": host.address,
                "port": one["port"],
                "setting": one["setting"],
                "expect": "" if one["ours"] else nonce,
            }


def _collect(pings: Sequence[Question], probes: Sequence[Question], settings: Settings) -> dict[str, object]:
    items: list[dict[str, object]] = [
        {
            "key": probe["key"],
            "connect": {"address": probe["address"], "port": probe["port"], "expect": probe["expect"]},
            "timeout": CONNECT_TIMEOUT_S + 2,
            "patience": CONNECT_TIMEOUT_S,
        }
        for probe in probes
    ]
    for ping in pings:
        words = ["-ping", "-g", "address", str(ping["address"])]
        items.append(hccn_item(str(ping["key"]), int(str(ping["npu"])), words, PING_TIMEOUT_S))
    each = max((sum(ping["npu"] == npu for ping in pings) for npu in range(settings.npus_per_host)), default=0)
    whole = specification(settings)
    return {
        "programs": whole["programs"],
        "values": whole["values"],
        "items": items,
        "limit": min(LONGEST_S, SLACK_S + SECONDS_OF_A_PING * each),
        "parallel": settings.npus_per_host + 8,
    }
